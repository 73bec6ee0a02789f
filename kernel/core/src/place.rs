//! Where an incarnation was when it ended, and what the processor held then.

/// Bytes that are known of a file's name.
pub const FILE: usize = 32;

/// Where an incarnation ended, as far as its platform knows. What it does not know is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    /// The instruction.
    pub pc: u32,
    /// Where the function returns to that it was in (on SH-4: PR).
    pub returns_to: u32,
    /// What the processor said of it (on SH-4: EXPEVT).
    pub event: u32,
    /// What it touched, of a fault that memory or a device raised.
    pub address: u32,
    /// Of a panic: the line in the file.
    pub line: u32,
    /// Of a panic: the end of its file's name, with zeros behind it.
    pub file: [u8; FILE],
}

impl Place {
    /// It panicked at this line of this file. Of a name that is too long, whole parts are left out at the beginning.
    pub fn panicked(&mut self, file: &[u8], line: u32) {
        self.line = line;
        let mut name = file;
        if let Some((_, end)) =
            file.split_at_checked(file.len().saturating_sub(FILE)).filter(|(cut, _)| !cut.is_empty())
        {
            let parts = end.iter().position(|byte| *byte == b'/').map_or(0, |at| at.saturating_add(1));
            name = end.get(parts..).unwrap_or(end);
        }
        for (to, from) in self.file.iter_mut().zip(name) {
            *to = *from;
        }
    }

    /// The end of the name of a panic's file; empty where nobody panicked.
    #[must_use]
    pub fn file(&self) -> &str {
        let length = self.file.iter().position(|byte| *byte == 0).unwrap_or(FILE);
        core::str::from_utf8(self.file.get(..length).unwrap_or(&[])).unwrap_or("?")
    }
}

/// What the processor held when an incarnation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Registers {
    /// Which incarnation.
    pub epoch: u32,
    /// On SH-4: R0 to R15.
    pub r: [u32; 16],
}
