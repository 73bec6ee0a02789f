//! A package's bytes: where its parts are, and who has signed them.
//!
//! The rule: what is believed before the signature was checked is lengths, and only if they fit the file exactly.

use crate::header::Header;
use crate::key::PublicKey;
use crate::refused::Refused;

/// What every package begins with. The first byte is no ASCII: whatever mangles texts on their way is noticed at once.
pub const MAGIC: [u8; 8] = *b"\x8akoboshi";

/// The version of the format.
pub const FORMAT: u32 = 1;

/// Bytes before the header: magic, format, length of the header, length of the code (each a little-endian `u32`), signer.
pub const START: usize = 8 + 4 + 4 + 4 + 32;

/// Bytes of the signature, which come last.
pub const SIGNATURE: usize = 64;

/// A package whose parts are where they should be. Nothing in it is to be believed yet, if it was not [verified](Self::is_signed).
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// Who says to have signed it.
    pub signer: PublicKey,
    /// The component's code.
    pub code: &'a [u8],
    header: &'a [u8],
    signed: &'a [u8],
    signature: [u8; SIGNATURE],
}

fn number(bytes: &[u8; START], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk);
    four.map_or(0, |four| u32::from_le_bytes(*four))
}

impl<'a> Package<'a> {
    /// Finds the parts.
    ///
    /// # Errors
    /// It is no package of this format, it is not as long as it says, or nobody has signed it.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Refused<'a>> {
        let has = bytes.len();
        if bytes.iter().zip(&MAGIC).any(|(found, wanted)| found != wanted) {
            return Err(Refused::NotAPackage);
        }
        let Some(start) = bytes.first_chunk::<START>() else {
            return Err(Refused::Truncated { has, needs: (START + SIGNATURE) as u64 });
        };
        let [format, header, code] = [8, 12, 16].map(|at| number(start, at));
        if format != FORMAT {
            return Err(Refused::Format { found: format });
        }
        // Three numbers of 32 bits: they cannot overflow 64.
        let signed = START as u64 + u64::from(header) + u64::from(code);
        let needs = signed + SIGNATURE as u64;
        match has as u64 {
            length if length == signed => return Err(Refused::Unsigned),
            length if length < needs => return Err(Refused::Truncated { has, needs }),
            length if length > needs => return Err(Refused::Longer { has, needs }),
            _ => {}
        }
        let cut = || Refused::Truncated { has, needs };
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or_else(cut)?;
        if *signature == [0; SIGNATURE] {
            return Err(Refused::Unsigned);
        }
        let parts = signed.get(START..).and_then(|parts| parts.split_at_checked(header as usize));
        let (header, code) = parts.ok_or_else(cut)?;
        let signer = start.last_chunk().map_or(PublicKey([0; 32]), |key| PublicKey(*key));
        Ok(Package { signer, code, header, signed, signature: *signature })
    }

    /// Whether its signer has signed it, as it is here. Whether that one may sign is another question.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signer.has_signed(self.signed, &self.signature)
    }

    /// Its header. To be asked for when it is known who has signed it.
    ///
    /// # Errors
    /// The header cannot be read, although it was signed like that.
    pub fn header(&self) -> Result<Header<'a>, Refused<'a>> {
        Header::read(self.header).ok_or(Refused::Unreadable)
    }
}
