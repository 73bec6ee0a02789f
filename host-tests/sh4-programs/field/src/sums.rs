//! Check sums and hashes, by the crates that people use for them.

use core::fmt::Write;

use crc::{Crc, Table};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_256};

use crate::{Random, say};

/// CRCs of 8 to 64 bits, with and without tables.
pub fn crc(seed: u32, out: &mut dyn Write) {
    static ETHERNET: Crc<u32> = Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    static CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&crc::CRC_32_ISCSI);
    static BARE: Crc<u16, Table<0>> = Crc::<u16, Table<0>>::new(&crc::CRC_16_MODBUS);
    static WIDE: Crc<u64> = Crc::<u64>::new(&crc::CRC_64_XZ);
    let mut random = Random::new(seed);
    let mut bytes = [0; 300];
    bytes.fill_with(|| random.next() as u8);
    say!(out, "{:08x}", ETHERNET.checksum(b"123456789"));
    for length in [0, 1, 3, 4, 15, 16, 17, 64, 255, 300] {
        let some = &bytes[..length];
        let mut pieces = ETHERNET.digest();
        some.chunks(7).for_each(|piece| pieces.update(piece));
        let short = Crc::<u8>::new(&crc::CRC_8_BLUETOOTH).checksum(some);
        let (ethernet, castagnoli) = (ETHERNET.checksum(some), CASTAGNOLI.checksum(some));
        let (bare, wide) = (BARE.checksum(some), WIDE.checksum(some));
        say!(out, "{short:02x} {bare:04x} {ethernet:08x} {:08x} {castagnoli:08x} {wide:016x}", pieces.finalize());
    }
}

fn hex(name: &str, hash: &[u8], out: &mut dyn Write) {
    let _ = write!(out, "{name} ");
    for byte in hash {
        let _ = write!(out, "{byte:02x}");
    }
    let _ = out.write_char('\n');
}

/// SHA-2 in all widths.
pub fn sha(seed: u32, out: &mut dyn Write) {
    let mut random = Random::new(seed);
    let mut bytes = [0; 260];
    bytes.fill_with(|| random.next() as u8);
    hex("abc", &Sha256::digest(b"abc"), out);
    for length in [0, 1, 55, 56, 63, 64, 65, 111, 112, 128, 260] {
        let some = &bytes[..length];
        hex("256", &Sha256::digest(some), out);
        hex("224", &Sha224::digest(some), out);
        hex("512", &Sha512::digest(some), out);
        hex("384", &Sha384::digest(some), out);
        hex("512/256", &Sha512_256::digest(some), out);
    }
    // In pieces, some of them misaligned.
    let mut pieces = Sha256::new();
    bytes[1..].chunks(13).for_each(|piece| pieces.update(piece));
    hex("pieces", &pieces.finalize(), out);
}
