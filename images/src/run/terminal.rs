//! A pseudo-terminal that stands for one end of a serial line.
//!
//! Job: carry bytes to and from whatever program opens it, and notice how that program sets the line.
//!
//! Rules: both its sides stay open for as long as this value lives, so that a program may come and go, and components may
//! die, without anybody seeing a hang-up. Bytes that the program does not take are kept, never dropped.
//!
//! What it cannot do: Linux keeps no parity bit and no seven data bits on a pseudo-terminal, and refuses a program that
//! asks for them; and it tells nobody of a break. For these there is `koboshi line`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};

/// What a program may set on a pseudo-terminal that matters to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Bits per second.
    pub(crate) baud: u32,
    /// Two stop bits, not one.
    pub(crate) two_stop_bits: bool,
    /// RTS/CTS.
    pub(crate) flow: bool,
}

/// A pseudo-terminal.
pub(crate) struct Terminal {
    supervisor: OwnedFd,
    program: OwnedFd,
    path: PathBuf,
    /// Bytes that the program has not taken yet.
    kept: Vec<u8>,
}

impl Terminal {
    /// Opens one in raw mode, set like this.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn open(setting: Setting) -> io::Result<Self> {
        let supervisor = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&supervisor)?;
        unlockpt(&supervisor)?;
        let path = ptsname(&supervisor, Vec::new())?;
        let path = path.into_string().map_err(|_| io::Error::other("the terminal's name is no text"))?;
        let program = ioctl_tiocgptpeer(&supervisor, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        let mut termios = tcgetattr(&program)?;
        termios.make_raw();
        tcsetattr(&program, OptionalActions::Now, &termios)?;
        fcntl_setfl(&supervisor, fcntl_getfl(&supervisor)? | OFlags::NONBLOCK)?;
        let terminal = Terminal { supervisor, program, path: path.into(), kept: Vec::new() };
        terminal.set(setting)?;
        Ok(terminal)
    }

    /// The file that a program opens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the line as if a program had done it.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn set(&self, setting: Setting) -> io::Result<()> {
        let mut termios = tcgetattr(&self.program)?;
        termios.set_speed(setting.baud)?;
        termios.control_modes.set(ControlModes::CSTOPB, setting.two_stop_bits);
        termios.control_modes.set(ControlModes::CRTSCTS, setting.flow);
        Ok(tcsetattr(&self.program, OptionalActions::Now, &termios)?)
    }

    /// How the line is set; `None` while it is hung up (speed 0) or cannot be asked.
    pub(crate) fn setting(&self) -> Option<Setting> {
        let termios = tcgetattr(&self.program).ok()?;
        let modes = termios.control_modes;
        let (two_stop_bits, flow) = (modes.contains(ControlModes::CSTOPB), modes.contains(ControlModes::CRTSCTS));
        let baud = Some(termios.output_speed()).filter(|baud| *baud > 0)?;
        Some(Setting { baud, two_stop_bits, flow })
    }

    /// What the program has sent, up to the length of `room`: less than that is all there was.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while let Some(rest) = room.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match rustix::io::read(&self.supervisor, rest) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(more) => count += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(count)
    }

    /// Whether all that was given was taken, so that more may be given.
    pub(crate) fn is_free(&self) -> bool {
        self.kept.is_empty()
    }

    /// Gives the program these bytes, behind those that it has not taken yet.
    ///
    /// # Errors
    /// As the system says; the bytes are kept.
    pub(crate) fn give(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if self.kept.is_empty() {
            self.kept = bytes;
        } else {
            self.kept.extend(bytes);
        }
        while !self.kept.is_empty() {
            match rustix::io::write(&self.supervisor, &self.kept) {
                Ok(count) => drop(self.kept.drain(..count)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{Read, Write};

    use super::*;

    const USUAL: Setting = Setting { baud: 115_200, two_stop_bits: false, flow: true };

    #[test]
    fn bytes_go_both_ways_unchanged() {
        let mut terminal = Terminal::open(USUAL).unwrap();
        let mut program = OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap();
        let every: Vec<u8> = (0..=255).collect();
        terminal.give(every.clone()).unwrap();
        let mut found = vec![0; 256];
        program.read_exact(&mut found).unwrap();
        assert_eq!(found, every);
        program.write_all(&every).unwrap();
        let mut room = [0; 300];
        assert_eq!(terminal.read(&mut room).unwrap(), 256);
        assert_eq!(room[..256], every);
    }

    #[test]
    fn a_program_that_comes_and_goes_hangs_nothing_up() {
        let mut terminal = Terminal::open(USUAL).unwrap();
        drop(OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap());
        assert_eq!(terminal.read(&mut [0; 4]).unwrap(), 0);
        terminal.give(b"later".to_vec()).unwrap();
        let mut program = OpenOptions::new().read(true).open(terminal.path()).unwrap();
        let mut found = [0; 5];
        program.read_exact(&mut found).unwrap();
        assert_eq!(&found, b"later");
    }

    #[test]
    fn what_a_program_sets_is_seen_also_a_speed_that_has_no_name() {
        let terminal = Terminal::open(USUAL).unwrap();
        assert_eq!(terminal.setting(), Some(USUAL));
        let program = OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap();
        let mut termios = tcgetattr(&program).unwrap();
        termios.set_speed(123_456).unwrap();
        termios.control_modes.insert(ControlModes::CSTOPB);
        termios.control_modes.remove(ControlModes::CRTSCTS);
        tcsetattr(&program, OptionalActions::Now, &termios).unwrap();
        assert_eq!(terminal.setting(), Some(Setting { baud: 123_456, two_stop_bits: true, flow: false }));
    }

    #[test]
    fn nothing_is_dropped_when_nobody_reads() {
        let mut terminal = Terminal::open(USUAL).unwrap();
        let many: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        terminal.give(many.clone()).unwrap();
        assert!(!terminal.is_free(), "a terminal holds some kilobytes");
        let mut program = OpenOptions::new().read(true).open(terminal.path()).unwrap();
        let mut found: Vec<u8> = Vec::new();
        while found.len() < many.len() {
            let mut room = [0; 4_096];
            let count = program.read(&mut room).unwrap();
            found.extend(&room[..count]);
            terminal.give(Vec::new()).unwrap();
        }
        assert!(found == many && terminal.is_free());
    }
}
