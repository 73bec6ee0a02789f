//! Devices: registers, interrupts, and the window in which a byte leaves or enters one.

use core::convert::Infallible;

use crate::platform::{
    Point, Width, koboshi_interrupt, koboshi_point, koboshi_read, koboshi_window, koboshi_write, step,
};
use crate::time::until;

/// A device that the image grants. It is given to one incarnation at a time.
#[derive(Debug)]
pub struct Device {
    number: u8,
}

impl Device {
    /// The component's device with this number, in the order of its [`Description`](crate::Description).
    ///
    /// An access to a device that the image does not grant ends the component.
    #[must_use]
    pub const fn open(number: u8) -> Self {
        Device { number }
    }

    fn read(&self, offset: u32, width: Width) -> u32 {
        let mut value = 0;
        step(Point::Device, || value = koboshi_read(self.number, offset, width));
        value
    }

    fn write(&self, offset: u32, width: Width, value: u32) {
        step(Point::Device, || koboshi_write(self.number, offset, width, value));
    }

    /// Reads an 8-bit register.
    #[must_use]
    pub fn read8(&self, offset: u32) -> u8 {
        self.read(offset, Width::Byte) as u8
    }

    /// Reads a 16-bit register.
    #[must_use]
    pub fn read16(&self, offset: u32) -> u16 {
        self.read(offset, Width::Half) as u16
    }

    /// Reads a 32-bit register.
    #[must_use]
    pub fn read32(&self, offset: u32) -> u32 {
        self.read(offset, Width::Word)
    }

    /// Writes an 8-bit register.
    pub fn write8(&self, offset: u32, value: u8) {
        self.write(offset, Width::Byte, value.into());
    }

    /// Writes a 16-bit register.
    pub fn write16(&self, offset: u32, value: u16) {
        self.write(offset, Width::Half, value.into());
    }

    /// Writes a 32-bit register.
    pub fn write32(&self, offset: u32, value: u32) {
        self.write(offset, Width::Word, value);
    }
}

/// An interrupt line that the image grants.
#[derive(Debug)]
pub struct Interrupt {
    line: u8,
}

impl Interrupt {
    /// The component's line with this number, in the order of its [`Description`](crate::Description).
    #[must_use]
    pub const fn open(line: u8) -> Self {
        Interrupt { line }
    }

    /// Whether an interrupt was delivered. It takes nothing: the line stays masked until [`Interrupt::acknowledge`].
    #[must_use]
    pub fn delivered(&self) -> bool {
        koboshi_interrupt(self.line, false)
    }

    /// Waits until an interrupt is delivered.
    pub async fn wait(&self) {
        until(|| self.delivered().then_some(())).await;
    }

    /// Unmasks the line.
    pub fn acknowledge(&self) {
        step(Point::Device, || {
            koboshi_interrupt(self.line, true);
        });
    }
}

/// Unmasks what was delivered on these lines, for ever.
///
/// It is to be polled last, behind everybody who looks at the device: then nothing is unmasked that was not looked at.
pub async fn acknowledge<const LINES: usize>(lines: [Interrupt; LINES]) -> Infallible {
    until(|| {
        lines.iter().filter(|line| line.delivered()).for_each(Interrupt::acknowledge);
        None
    })
    .await
}

/// Moves a byte and counts it, with no moment in between at which a kill from outside can strike.
///
/// `act` makes at most one destructive access and one commit; it does not wait, call out or panic, and touches only
/// memory that cannot fault.
pub fn window<T: Default>(act: impl FnOnce() -> T) -> T {
    if !koboshi_point(Point::Device, false) {
        return T::default();
    }
    koboshi_window(true);
    let done = act();
    koboshi_window(false);
    koboshi_point(Point::Device, true);
    done
}
