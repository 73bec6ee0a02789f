//! Every device has one owner, and everything that the image says of it is true of its kind.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use koboshi_core::ComponentId;
use koboshi_host::application::{Application, register};
use koboshi_host::device::{BadAccess, Width};
use koboshi_host::image::{DeviceModelKind, ImageDevice, ProgramSide, SafeWrite};
use koboshi_host::ns16550::Ns16550;
use koboshi_host::scif::{self, FifoDepth, Scif};
use koboshi_host::wire::{LineSettings, Wire};

use super::{Composer, Part};
use crate::manifest::{
    DeviceKind, DeviceManifest, DeviceSettings, ImageDeviceManifest, Layout, PlatformKind, SerialSettings,
};
use crate::problem::{Rule, instead};
use crate::reader::At;
use crate::units::Quantity;

impl Composer<'_> {
    pub(super) fn devices(&mut self, read_whole: bool) -> Vec<ImageDevice> {
        let mut devices = Vec::new();
        let mut owned: BTreeMap<(usize, usize), Range<usize>> = BTreeMap::new();
        let mut named: BTreeMap<&str, &At<String>> = BTreeMap::new();
        let mut all_known = read_whole;
        for device in &self.image.devices {
            if let Some(first) = named.get(device.name.value.as_str()) {
                let (name, owner) = (&device.name.value, &device.owner.value);
                let problem = self.reader.problem(
                    Rule::DeviceTwice,
                    device.owner.span.clone(),
                    format!("device `{name}` has two owners: `{}` and `{owner}`", first.value),
                    "the second owner",
                    "a device is given to one component: take one of the two `[[device]]` out, or rename it.",
                );
                problem.other = Some((first.span.clone(), "the first owner".to_owned()));
            } else {
                named.insert(&device.name.value, &device.owner);
            }
            let Some((at, name)) = self.split(&device.owner, "device") else {
                all_known = false;
                continue;
            };
            let Some(part) = self.parts.get(at).and_then(Option::as_ref) else { continue };
            if !part.agrees {
                // Its manifest may be wrong in what it says of this device.
                all_known = false;
                continue;
            }
            let manifest = Rc::clone(&part.manifest);
            let Some(number) = manifest.devices.iter().position(|declared| declared.name.value == name) else {
                let message = format!("`{}` has no device `{name}`", part.instance.name.value);
                let names: Vec<String> = manifest.devices.iter().map(|device| device.name.value.clone()).collect();
                let remedy = instead(name, names.iter().map(String::as_str));
                self.reader.problem(Rule::UnknownName, device.owner.span.clone(), message, "unknown device", remedy);
                all_known = false;
                continue;
            };
            let declared = &manifest.devices[number];
            if declared.kind != device.settings.kind() {
                let (wanted, found) = (declared.kind.word(), device.settings.kind().word());
                let message = format!(
                    "`{}` drives a device of kind \"{wanted}\", and this is of kind \"{found}\"",
                    device.owner.value
                );
                let remedy = format!("write `kind = \"{wanted}\"`, or give it to another component.");
                self.reader.problem(Rule::Device, device.owner.span.clone(), message, "wrong kind", remedy);
                all_known = false;
                continue;
            }
            let first_line = manifest.devices[..number].iter().map(|device| device.interrupts.len()).sum::<usize>();
            if let Some(before) = owned.insert((at, number), device.owner.span.clone()) {
                let problem = self.reader.problem(
                    Rule::DeviceTwice,
                    device.owner.span.clone(),
                    format!("`{}` is given two devices", device.owner.value),
                    "the second one",
                    "a component drives one device in this place: take one of the two `[[device]]` out.",
                );
                problem.other = Some((before, "the first one".to_owned()));
            }
            self.speed_can_be_made(device);
            self.interrupts_are_counted(device, declared);
            self.safe_action_can_be_taken(device);
            devices.push(ImageDevice {
                safe: device.safe.iter().map(|write| write.value).collect(),
                name: device.name.value.clone(),
                owner: ComponentId(at as u8),
                number: number as u8,
                first_line: first_line as u8,
                model: model(&device.settings),
            });
        }
        if all_known {
            self.every_device_is_there(&owned);
        }
        self.interrupts_are_used_once();
        self.program_sides_have_an_end();
        devices
    }

    /// A program's side is that of an application's end in this image, and on a board: here it is held from outside.
    fn program_sides_have_an_end(&mut self) {
        for device in &self.image.devices {
            let DeviceSettings::Program { end } = &device.settings else { continue };
            if self.image.platform == PlatformKind::Host && !self.image.platform_unread {
                self.reader.problem(
                    Rule::Device,
                    device.name.span.clone(),
                    format!("`{}` is a device that only a board has", device.name.value),
                    "held from outside of an image here",
                    "take it and its owner out, or write the platform of a board.",
                );
            }
            let all = &self.image.devices;
            let ends = all.iter().filter(|other| other.settings.kind() == DeviceKind::Application);
            let names: Vec<&str> = ends.map(|other| other.name.value.as_str()).collect();
            if !names.contains(&end.value.as_str()) {
                let message = format!("`{}` is no application's end of a line in this image", end.value);
                let remedy = instead(&end.value, names);
                self.reader.problem(Rule::UnknownName, end.span.clone(), message, "unknown end", remedy);
            }
        }
    }

    /// The clock of a serial interface can make the speed of its line.
    fn speed_can_be_made(&mut self, device: &ImageDeviceManifest) {
        let Some(SerialSettings { clock, baud, .. }) = device.settings.serial() else { return };
        if clock.value == 0 || baud.value == 0 {
            // Out of bounds, which was said.
            return;
        }
        if let Err(nearest) = reachable_speed(device.settings.kind(), clock.value, baud.value) {
            self.reader.problem(
                Rule::LineSpeed,
                baud.span.clone(),
                format!(
                    "a clock of {} cannot make {}",
                    Quantity::Frequency.write(clock.value),
                    Quantity::Speed.write(baud.value)
                ),
                "cannot be made",
                format!("the nearest speed that it can make is `baud = \"{nearest} baud\"`."),
            );
        }
    }

    fn every_device_is_there(&mut self, owned: &BTreeMap<(usize, usize), Range<usize>>) {
        for (at, part) in self.parts.iter().enumerate() {
            let Some(Part { instance, manifest, .. }) = part else { continue };
            for (number, device) in manifest.devices.iter().enumerate() {
                if !owned.contains_key(&(at, number)) {
                    let (name, device) = (&instance.name, (&device.name.value, device.kind.word()));
                    self.reader.problem(
                        Rule::Device,
                        name.span.clone(),
                        format!("`{}` is not given its device `{}`", name.value, device.0),
                        format!("needs a device of kind \"{}\"", device.1),
                        format!(
                            "add `[[device]]` with kind = \"{}\" and owner = \"{}.{}\".",
                            device.1, name.value, device.0
                        ),
                    );
                }
            }
        }
    }

    /// A device has as many interrupt numbers as its driver has names for them. A driver that uses no interrupts leaves it those
    /// that it has: so the same device fits another driver of it.
    fn interrupts_are_counted(&mut self, device: &ImageDeviceManifest, declared: &DeviceManifest) {
        let Some(numbers) = &device.interrupts else { return };
        if declared.interrupts.is_empty() || numbers.value.len() == declared.interrupts.len() {
            return;
        }
        let (found, wanted) = (numbers.value.len(), declared.interrupts.len());
        let names: Vec<&str> = declared.interrupts.iter().map(|name| name.value.as_str()).collect();
        self.reader.problem(
            Rule::InterruptCount,
            numbers.span.clone(),
            format!(
                "`{}` has {found} interrupt numbers, and `{}` wants {wanted}",
                device.name.value, device.owner.value
            ),
            format!("{found} instead of {wanted}"),
            format!("write one number for each of: {}.", names.join(", ")),
        );
    }

    fn interrupts_are_used_once(&mut self) {
        let mut used: BTreeMap<u64, (usize, Range<usize>)> = BTreeMap::new();
        let mut told = BTreeSet::new();
        for (at, device) in self.image.devices.iter().enumerate() {
            for number in device.interrupts.iter().flat_map(|numbers| &numbers.value) {
                let Some((other, before)) = used.get(&number.value) else {
                    used.insert(number.value, (at, number.span.clone()));
                    continue;
                };
                // A device that was copied with all its numbers is one mistake.
                if !told.insert((*other, at)) {
                    continue;
                }
                let problem = self.reader.problem(
                    Rule::InterruptTwice,
                    number.span.clone(),
                    format!("interrupt {0} ({0:#x}) is used twice", number.value),
                    "here once more",
                    "each source has a number of its own: look it up in the board's manual.",
                );
                problem.other = Some((before.clone(), "used here".to_owned()));
            }
        }
    }

    /// A safe action writes registers that are there, as wide as they are; tried on a copy of the model.
    fn safe_action_can_be_taken(&mut self, device: &ImageDeviceManifest) {
        if device.safe.is_empty() {
            return;
        }
        let mut model = model(&device.settings);
        for At { value: write, span } in &device.safe {
            let name = &device.name.value;
            let (message, label, remedy) = match try_write(&mut model, *write) {
                Ok(true) => continue,
                Ok(false) => (
                    format!("the register at {:#x} of `{name}` can only be read", write.offset),
                    "changes nothing",
                    "take this write out.".to_owned(),
                ),
                Err(BadAccess::NoRegister { offset }) => (
                    format!("`{name}` has no register at {offset:#x}"),
                    "no register",
                    format!("its registers are at {}.", list_of(&registers(&device.settings))),
                ),
                Err(BadAccess::WrongWidth { offset, tried, is }) => (
                    format!("the register at {offset:#x} of `{name}` is not {} bits wide", bits(tried)),
                    "wrong width",
                    format!("write `width = {}`.", bits(is)),
                ),
            };
            self.reader.problem(Rule::SafeAction, span.clone(), message, label, remedy);
        }
    }

    /// No two devices' registers lie in one place, and none in the memory.
    pub(super) fn windows_lie_apart(&mut self) {
        let image = self.image;
        let mut windows: Vec<(Range<u64>, &str, Range<usize>)> = Vec::new();
        if let Some(memory) = &image.memory {
            windows.push((memory.window(), "[memory]", memory.base.span.clone()));
        }
        for device in &image.devices {
            let Some(base) = &device.base else { continue };
            let window = base.value..base.value + window(&device.settings);
            windows.push((window, &device.name.value, base.span.clone()));
        }
        windows.sort_by_key(|(window, ..)| window.start);
        let mut furthest: Option<&(Range<u64>, &str, Range<usize>)> = None;
        for found in &windows {
            if let Some((before, other, other_span)) = furthest.filter(|(before, ..)| found.0.start < before.end) {
                let (window, name, span) = found;
                // The one that stands later in the manifest is the one to move.
                let (first, second) =
                    if span.start < other_span.start { (span, other_span) } else { (other_span, span) };
                let problem = self.reader.problem(
                    Rule::Window,
                    second.clone(),
                    format!(
                        "`{name}` at {:#x} to {:#x} overlaps `{other}` at {:#x} to {:#x}",
                        window.start,
                        window.end - 1,
                        before.start,
                        before.end - 1
                    ),
                    "overlaps",
                    "give each the address that the board's manual names.",
                );
                problem.other = Some((first.clone(), "the other one".to_owned()));
            }
            furthest = furthest.filter(|(before, ..)| before.end >= found.0.end).or(Some(found));
        }
    }
}

/// Carries out a write; whether it can change anything.
fn try_write(model: &mut DeviceModelKind, write: SafeWrite) -> Result<bool, BadAccess> {
    let in_vain = |model: &DeviceModelKind| match model {
        DeviceModelKind::Scif(scif) => scif.counters().write_of_read_only_register,
        DeviceModelKind::Ns16550(uart) => uart.counters().write_of_read_only_register,
        DeviceModelKind::Application(_) | DeviceModelKind::Program(_) => 0,
    };
    let before = in_vain(model);
    model.registers().write(write.offset, write.width, write.value, 0)?;
    Ok(in_vain(model) == before)
}

/// How many bits an access of this width has.
pub(crate) const fn bits(width: Width) -> u32 {
    match width {
        Width::Byte => 8,
        Width::Half => 16,
        Width::Word => 32,
    }
}

fn list_of(registers: &[u32]) -> String {
    let all: Vec<String> = registers.iter().map(|offset| format!("{offset:#x}")).collect();
    all.join(", ")
}

/// The offsets at which a device of this kind has registers: asked from its model.
fn registers(settings: &DeviceSettings) -> Vec<u32> {
    let mut model = model(settings);
    let mut read = |offset| model.registers().read(offset, Width::Word, 0);
    let there = |offset: &u32| !matches!(read(*offset), Err(BadAccess::NoRegister { .. }));
    let each = if let DeviceSettings::Ns16550 { shift, .. } = settings { 1 << shift } else { 4 };
    (0..window(settings) as u32).step_by(each).filter(there).collect()
}

/// How many bytes a device's registers take, from its base on.
pub(crate) fn window(settings: &DeviceSettings) -> u64 {
    match settings {
        // SCLSR, 16 bits wide, is the last one on either chip.
        DeviceSettings::Scif { layout, .. } => u64::from(layout_of(*layout).lsr) + 2,
        // The scratch register is the last of eight.
        DeviceSettings::Ns16550 { shift, .. } => (7 << shift) + 1,
        DeviceSettings::Application { .. } => u64::from(register::BREAK_BEGUN) + 4,
        DeviceSettings::Program { .. } => 0,
    }
}

const fn layout_of(layout: Layout) -> scif::Layout {
    match layout {
        Layout::Sh7780 => scif::Layout::SH7780,
        Layout::Sh7751r => scif::Layout::SH7751R,
    }
}

/// Clocks of a SCIF in one bit at its fastest setting.
const CLOCKS_PER_BIT: u64 = 32;

/// The largest error of a bit rate, in thousandths, that both ends of a line surely bear.
const RATE_TOLERANCE: u64 = 25;

/// Whether a serial interface of this kind with this clock can make this speed; if not, the nearest that it can make.
pub(crate) fn reachable_speed(kind: DeviceKind, clock: u64, baud: u64) -> Result<(), u64> {
    if kind != DeviceKind::Ns16550 {
        return speed_of_scif(clock, baud);
    }
    let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    match koboshi_ns16550_driver::device::divisor(word(clock), word(baud)) {
        Ok(_) => Ok(()),
        Err(nearest) => Err(u64::from(nearest).max(1)),
    }
}

/// Whether a SCIF with this clock can make this speed; if not, the nearest that it can make.
///
/// The driver's own rule, `Scif::setting`, without its registers.
fn speed_of_scif(clock: u64, baud: u64) -> Result<(), u64> {
    // In thousandths of a bit per second: at 300 baud a whole one is too coarse.
    let wanted = baud.max(1) * 1_000;
    let made = (0..4).flat_map(|select| {
        let bit = clock * 1_000 / (CLOCKS_PER_BIT << (2 * select));
        let below = bit / wanted;
        [bit / below.clamp(1, 256), bit / (below + 1).clamp(1, 256)]
    });
    match made.min_by_key(|made| made.abs_diff(wanted)) {
        Some(made) if made.abs_diff(wanted) * 1_000 <= wanted * RATE_TOLERANCE => Ok(()),
        made => Err((made.unwrap_or(0) / 1_000).max(1)),
    }
}

fn model(settings: &DeviceSettings) -> DeviceModelKind {
    match settings {
        DeviceSettings::Scif { layout, serial, .. } => {
            let layout = layout_of(*layout);
            let depth = if serial.fifo.value == 64 { FifoDepth::SixtyFour } else { FifoDepth::Sixteen };
            let scif = Scif::new(layout.with_fifo(depth), serial.clock.value as u32, wire(serial));
            DeviceModelKind::Scif(Box::new(scif))
        }
        DeviceSettings::Ns16550 { shift, serial, auto_flow, .. } => {
            let uart = Ns16550::new(*shift, serial.clock.value as u32, *auto_flow, wire(serial));
            DeviceModelKind::Ns16550(Box::new(uart))
        }
        DeviceSettings::Application { room } => {
            DeviceModelKind::Application(Box::new(Application::new(usize::try_from(*room).unwrap_or(usize::MAX))))
        }
        DeviceSettings::Program { end } => DeviceModelKind::Program(ProgramSide { of: end.value.clone() }),
    }
}

fn wire(serial: &SerialSettings) -> Wire {
    Wire::new(LineSettings::at(serial.baud.value as u32).with_flow_control(serial.flow))
}

#[cfg(test)]
mod tests {
    use super::{reachable_speed, speed_of_scif};
    use crate::manifest::DeviceKind;

    #[test]
    fn the_nearest_speed_that_is_offered_can_be_made_and_is_never_zero() {
        for clock in [14_745_600, 33_333_000, 64_000_000, 400_000_000] {
            for baud in [1, 7, 50, 63, 300, 700_000, 900_000, 1_500_000, 9_999_999] {
                for kind in [DeviceKind::Scif, DeviceKind::Ns16550] {
                    if let Err(nearest) = reachable_speed(kind, clock, baud) {
                        assert_ne!(nearest, 0, "{clock} Hz, {baud} baud");
                        assert_eq!(reachable_speed(kind, clock, nearest), Ok(()), "{clock} Hz, {baud} baud: {nearest}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_speed_that_the_clock_makes_closely_is_accepted() {
        assert_eq!(speed_of_scif(64_000_000, 115_200), Ok(()));
        assert_eq!(speed_of_scif(33_333_000, 1_000_000), Err(1_041_656));
        assert_eq!(speed_of_scif(33_333_000, 7), Err(63));
    }
}
