//! Memory at the composer's addresses, as the kernel reaches it: through P1.
//!
//! Rule: an address that a component names is an allegation; it is looked up in that component's regions first.

use core::slice;

use koboshi_core::sync::{AtomicU32, Ordering};
use koboshi_sh4_abi::View;

use crate::plan::{Region, Reset};

/// Where P1 shows the same memory.
pub(crate) const fn p1(address: u32) -> u32 {
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

/// Where the bytes are that a component may read, or write, from this address on.
fn may(regions: &[Region], address: u32, bytes: u32, write: bool) -> Option<u32> {
    let mut regions = regions.iter().take_while(|region| region.length() != 0).filter(|region| region.is(write));
    regions.find_map(|region| region.memory(address, bytes))
}

/// Bytes that a component shows, cut at `most`.
pub(crate) fn shown(regions: &[Region], address: u32, bytes: u32, most: u32) -> Option<&'static [u8]> {
    let bytes = bytes.min(most);
    let found = may(regions, address, bytes, false)?;
    // SAFETY: it lies in a region of the plan, which is memory. The component does not run while this is looked at.
    Some(unsafe { slice::from_raw_parts(p1(found) as *const u8, bytes as usize) })
}

/// Words that a component wants written.
pub(crate) fn wanted(regions: &[Region], address: u32, count: u32) -> Option<&'static [AtomicU32]> {
    let bytes = count.checked_mul(4)?;
    let found = may(regions, address, bytes, true)?;
    address.is_multiple_of(4).then(|| words(found, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Rights;

    const REGIONS: [Region; 6] = [
        Region::of(0x0D00_0000, 0x2000, Rights::Read),
        Region::of(0x0D00_3000, 0x1000, Rights::Write),
        Region::of(0x1FE8_0000, 0x1000, Rights::Device),
        Region::at(0x4000_0000, 0x1000, 0x0D01_0000, Rights::Write),
        Region::at(0x3FFF_F000, 0x1000, 0x0D02_0000, Rights::Read),
        Region::LAST,
    ];

    #[test]
    fn only_what_lies_in_one_region_with_that_right_is_followed() {
        let cases = [
            (0x0D00_0000, 4, false, Some(0x0D00_0000)),
            (0x0D00_1FFC, 4, false, Some(0x0D00_1FFC)),
            (0x0D00_1FFD, 4, false, None),
            (0x0D00_0000, 4, true, None),
            (0x0D00_3000, 0x1000, true, Some(0x0D00_3000)),
            (0x0D00_3000, 0x1001, true, None),
            (0x0D00_3FFC, u32::MAX, false, None),
            (0x1FE8_0000, 4, false, None),
            // Seen elsewhere than it is, above and below; where it is, the component has nothing.
            (0x4000_0FFC, 4, true, Some(0x0D01_0FFC)),
            (0x4000_0FFC, 5, true, None),
            (0x0D01_0000, 4, false, None),
            (0x3FFF_F010, 4, false, Some(0x0D02_0010)),
            (0x3FFF_F010, 4, true, None),
            (0, 4, false, None),
            (0x8D00_0000, 4, false, None),
            (0xFFFF_FFFC, 8, false, None),
        ];
        for (address, bytes, write, expected) in cases {
            assert_eq!(may(&REGIONS, address, bytes, write), expected, "{address:#x}, {bytes}, {write}");
        }
        assert!(wanted(&REGIONS, 0x0D00_3002, 1).is_none(), "a word lies at a multiple of 4");
        assert!(wanted(&REGIONS, 0x0D00_3000, 0x4000_0001).is_none(), "its bytes would wrap around");
    }
}
