//! Devices are granted by page: who gets a register gets all that lies in its page.
//!
//! Rule: a page of devices has one owner; none of the kernel's own is anybody else's, but where an image says so for itself.

use std::collections::BTreeMap;

use koboshi_sh4_abi::PAGE;

use crate::fit::{Spot, Unfit};
use crate::request::Request;

/// The page of a device, as components see it: through area 7, or where it is.
pub(crate) const fn page_of(base: u32) -> u32 {
    base & 0x1FFF_FFFF & !(PAGE - 1)
}

/// Checks that each page of devices can be its owner's alone.
///
/// # Errors
/// It cannot, and why.
pub(crate) fn are_apart(request: &Request<'_>) -> Result<(), Unfit> {
    let board = &request.board;
    let mut owners: BTreeMap<u32, (usize, &str)> = BTreeMap::new();
    for (at, (device, placed)) in request.image.devices.iter().zip(&request.devices).enumerate() {
        let spot = Spot::Device(at);
        let Some(placed) = placed else { continue };
        let (page, owner, name) = (page_of(placed.base), device.owner.index(), device.name.as_str());
        let whose = |owner: usize| request.image.components.get(owner).map_or("?", |component| component.name.as_str());
        if let Some((_, what)) = board.own.iter().find(|(own, _)| page_of(*own) == page)
            && !placed.beside_the_kernel
        {
            return Err(Unfit::new(
                spot,
                format!("device `{name}` of `{}` at {:#x} shares a page with {what}", whose(owner), placed.base),
                "that page is the kernel's own: who had it could stop or fool it. Use another device.",
            ));
        }
        if (board.load..board.end).contains(&page) {
            return Err(Unfit::new(
                spot,
                format!("device `{name}` of `{}` at {:#x} lies in the board's memory", whose(owner), placed.base),
                "write the address of its first register, as the board's manual has it.",
            ));
        }
        let (other, before) = *owners.entry(page).or_insert((owner, name));
        if other != owner {
            return Err(Unfit::new(
                spot,
                format!(
                    "devices `{before}` of `{}` and `{name}` of `{}` lie in one page, at {page:#x}",
                    whose(other),
                    whose(owner)
                ),
                "each of the two could reach the other's: give both to one component.",
            ));
        }
    }
    Ok(())
}
