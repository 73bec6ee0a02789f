//! What only a board refuses, found before anything is built for it.

use koboshi_board::{Board, Placed, Request, Spot, Unfit, fits};
use koboshi_host::image::{Image, ImageDevice};
use koboshi_sh4::link::Optimise;

use crate::manifest::{DeviceKind, ImageDeviceManifest, ImageManifest, Instance, PlatformKind};
use crate::problem::Rule;
use crate::reader::Reader;

/// The board of a platform; `None`: this machine.
pub(crate) const fn board_of(platform: PlatformKind) -> Option<Board> {
    match platform {
        PlatformKind::Host => None,
        PlatformKind::R2d => Some(Board::R2D),
        PlatformKind::Sh2007 => Some(Board::SH2007),
    }
}

/// Where the devices of an image are, as its manifest says.
///
/// # Errors
/// The first device that has no place.
pub(crate) fn placed<'m>(
    manifest: &'m ImageManifest,
    image: &Image,
) -> Result<Vec<Option<Placed>>, &'m ImageDeviceManifest> {
    let devices = manifest.devices.iter().zip(&image.devices);
    let place = |(device, given): (&'m ImageDeviceManifest, &ImageDevice)| {
        let owner = image.components.get(given.owner.index());
        let interrupted = owner.is_none_or(|owner| !owner.linked.description().interrupts.is_empty());
        place_of(device, interrupted).ok_or(device)
    };
    devices.map(place).collect()
}

/// What there is for each component's program, if others may take its place.
pub(crate) fn rooms(manifest: &ImageManifest) -> Vec<Option<u32>> {
    let room = |component: &Instance| Some(component.swappable.as_ref()?.value.room);
    manifest.components.iter().map(room).collect()
}

/// What is wrong with a device without a place, and what would be right.
pub(crate) fn no_place(device: &ImageDeviceManifest) -> (String, &'static str) {
    (
        format!("device `{}` has no `base` or no `interrupts`, which its driver needs", device.name.value),
        "write the address of its first register, and what INTEVT shows of its interrupts.",
    )
}

/// `Some(None)`: the platform itself models it.
fn place_of(device: &ImageDeviceManifest, interrupted: bool) -> Option<Option<Placed>> {
    if matches!(device.settings.kind(), DeviceKind::Application | DeviceKind::Program) {
        return Some(None);
    }
    let numbers = device.interrupts.as_ref().map_or(&[][..], |numbers| &numbers.value);
    if interrupted && numbers.is_empty() {
        return None;
    }
    // What INTEVT shows has 12 bits: a larger one is none that anybody knows.
    let interrupts = numbers.iter().map(|number| u16::try_from(number.value).unwrap_or(u16::MAX)).collect();
    let base = u32::try_from(device.base.as_ref()?.value).ok()?;
    Some(Some(Placed { base, interrupts, beside_the_kernel: false }))
}

/// Says what the image's board cannot have of it.
pub(super) fn check(reader: &mut Reader, manifest: &ImageManifest, image: &Image) {
    let Some(board) = board_of(manifest.platform) else { return };
    let devices = match placed(manifest, image) {
        Ok(devices) => devices,
        Err(device) => {
            let (message, remedy) = no_place(device);
            reader.problem(Rule::Board, device.name.span.clone(), message, "nobody knows where it is", remedy);
            return;
        }
    };
    let request = Request {
        image,
        sources: Vec::new(),
        devices,
        rooms: rooms(manifest),
        board,
        optimise: Optimise::Size,
        knocks: false,
        koboshi: Default::default(),
        folder: Default::default(),
        name: String::new(),
        change: None,
    };
    let Err(Unfit { spot, trouble }) = fits(&request) else { return };
    let device = |at: usize| manifest.devices.get(at);
    let span = match spot {
        Spot::Image => None,
        Spot::Device(at) => device(at).and_then(|device| device.base.as_ref()).map(|base| base.span.clone()),
        Spot::Interrupt(at, place) => {
            device(at).and_then(|device| device.interrupts.as_ref()?.value.get(place)).map(|number| number.span.clone())
        }
    };
    reader.problem(Rule::Board, span.unwrap_or(0..1), trouble.what, "the board cannot have this", trouble.remedy);
}
