//! Memory at the composer's addresses, as the kernel reaches it: through P1.
//!
//! Rule: an address that a component names is an allegation; it is looked up in that component's regions first.

use core::slice;

use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_sh4_abi::View;

use crate::plan::{Region, Reset, Rights};

/// Where P1 shows the same memory.
const fn p1(address: u32) -> u32 {
    address & 0x1FFF_FFFF | 0x8000_0000
}

/// Words of the image's memory. The composer has put them there, and they stay there.
pub(crate) fn words(address: u32, count: u32) -> &'static [AtomicU32] {
    // SAFETY: an address of the plan (or one found in a region of the plan): it is memory, a multiple of 4, and shared by
    // nothing but atomic words.
    unsafe { slice::from_raw_parts(p1(address) as *const AtomicU32, count as usize) }
}

/// The page that a component reads.
pub(crate) fn view(address: u32) -> &'static View {
    // SAFETY: the composer has laid a `View` at this address; all that ever changes in it is atomic.
    unsafe { &*(p1(address) as *const View) }
}

/// Words of the image's memory as P2 shows them, past the caches. Nobody looks at them otherwise.
pub(crate) fn uncached(address: u32, count: u32) -> &'static [AtomicU32] {
    // SAFETY: as in `words`.
    unsafe { slice::from_raw_parts((address & 0x1FFF_FFFF | 0xA000_0000) as *const AtomicU32, count as usize) }
}

/// One word.
pub(crate) fn word(address: u32) -> &'static AtomicU32 {
    // SAFETY: as in `words`.
    unsafe { &*(p1(address) as *const AtomicU32) }
}

/// Makes memory begin anew.
pub(crate) fn reset(reset: &Reset) {
    let to = words(reset.to, reset.copied.wrapping_add(reset.zeroed));
    let (copied, zeroed) = to.split_at_checked(reset.copied as usize).unwrap_or((to, &[]));
    for (to, from) in copied.iter().zip(words(reset.from, reset.copied)) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    // Eight stores a step: a compiler that makes small code would make it one.
    let (eights, rest) = zeroed.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in eights {
        a.store(0, Ordering::Relaxed);
        b.store(0, Ordering::Relaxed);
        c.store(0, Ordering::Relaxed);
        d.store(0, Ordering::Relaxed);
        e.store(0, Ordering::Relaxed);
        f.store(0, Ordering::Relaxed);
        g.store(0, Ordering::Relaxed);
        h.store(0, Ordering::Relaxed);
    }
    rest.iter().for_each(|word| word.store(0, Ordering::Relaxed));
}

/// Whether a component may read, or write, so many bytes from this address on.
fn may(regions: &[Region], address: u32, bytes: u32, write: bool) -> bool {
    regions.iter().take_while(|region| region.length != 0).any(|region| {
        let offset = address.wrapping_sub(region.start);
        let right = match region.rights {
            Rights::Write => true,
            Rights::Read => !write,
            // A register is no memory: reading it may do something.
            Rights::Device => false,
        };
        right && offset < region.length && bytes <= region.length.wrapping_sub(offset)
    })
}

/// Bytes that a component shows, cut at `most`.
pub(crate) fn shown(regions: &[Region], address: u32, bytes: u32, most: u32) -> Option<&'static [u8]> {
    let bytes = bytes.min(most);
    if !may(regions, address, bytes, false) {
        return None;
    }
    // SAFETY: it lies in a region of the plan, which is memory. The component does not run while this is looked at.
    Some(unsafe { slice::from_raw_parts(p1(address) as *const u8, bytes as usize) })
}

/// Words that a component wants written.
pub(crate) fn wanted(regions: &[Region], address: u32, count: u32) -> Option<&'static [AtomicU32]> {
    let bytes = count.checked_mul(4)?;
    (address.is_multiple_of(4) && may(regions, address, bytes, true)).then(|| words(address, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGIONS: [Region; 4] = [
        Region { start: 0x0D00_0000, length: 0x2000, rights: Rights::Read },
        Region { start: 0x0D00_3000, length: 0x1000, rights: Rights::Write },
        Region { start: 0x1FE8_0000, length: 0x1000, rights: Rights::Device },
        Region { start: 0, length: 0, rights: Rights::Read },
    ];

    #[test]
    fn only_what_lies_in_one_region_with_that_right_is_followed() {
        let cases = [
            (0x0D00_0000, 4, false, true),
            (0x0D00_1FFC, 4, false, true),
            (0x0D00_1FFD, 4, false, false),
            (0x0D00_0000, 4, true, false),
            (0x0D00_3000, 0x1000, true, true),
            (0x0D00_3000, 0x1001, true, false),
            (0x0D00_3FFC, u32::MAX, false, false),
            (0x1FE8_0000, 4, false, false),
            (0, 4, false, false),
            (0x8D00_0000, 4, false, false),
            (0xFFFF_FFFC, 8, false, false),
        ];
        for (address, bytes, write, expected) in cases {
            assert_eq!(may(&REGIONS, address, bytes, write), expected, "{address:#x}, {bytes}, {write}");
        }
        assert!(wanted(&REGIONS, 0x0D00_3002, 1).is_none(), "a word lies at a multiple of 4");
        assert!(wanted(&REGIONS, 0x0D00_3000, 0x4000_0001).is_none(), "its bytes would wrap around");
    }
}
