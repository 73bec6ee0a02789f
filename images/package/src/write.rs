//! Makes packages and signs them.
//!
//! The rule: the same contents and the same key give the same bytes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use crate::format::{FORMAT, MAGIC};
use crate::header::{Header, digest};
use crate::key::{PublicKey, of_hexadecimal};

/// What the text of a secret begins with.
pub const SECRET_PREFIX: &str = "koboshi-ed25519-secret:";

/// The secret half of a key: with it packages are signed. It is overwritten when it is let go.
#[derive(Debug)]
pub struct SecretKey(SigningKey);

/// A text that is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no line with `{SECRET_PREFIX}` and 64 hexadecimal digits")]
pub struct NoSecret;

impl SecretKey {
    /// The key of these 32 random bytes.
    #[must_use]
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        SecretKey(SigningKey::from_bytes(seed))
    }

    /// Its public half, which an image names.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// As it stands in a file: a line for people, one with the public half and one with the secret.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        // Large enough from the beginning: what grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str("# A secret key of Koboshi. Whoever has it can sign packages: keep this file to yourself.\n");
        let _ = write!(text, "# {}\n{SECRET_PREFIX}", self.public());
        for byte in self.0.as_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// There is no secret in it.
    pub fn of_text(text: &str) -> Result<Self, NoSecret> {
        let digits = text.lines().find_map(|line| line.trim().strip_prefix(SECRET_PREFIX)).ok_or(NoSecret)?;
        let seed = Zeroizing::new(of_hexadecimal(digits).map_err(|_| NoSecret)?);
        Ok(Self::of_seed(&seed))
    }
}

/// What cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// The header has a name that is none, or a text that cannot be shown.
    #[error("a name in its header is empty, or has letters that are not ASCII")]
    Text,
    /// Header or code is larger than the format can say.
    #[error("it is larger than 4 GiB")]
    Large,
}

/// Makes a package of this code and what is said of it. The fingerprint in the header is put there.
///
/// # Errors
/// What cannot be written.
pub fn write(header: &Header<'_>, code: &[u8], key: &SecretKey) -> Result<Vec<u8>, Unwritable> {
    let header = Header { digest: digest(code), ..header.clone() };
    if !header.is_printable() {
        return Err(Unwritable::Text);
    }
    let header = postcard::to_allocvec(&header).map_err(|_| Unwritable::Large)?;
    seal(&header, code, key).ok_or(Unwritable::Large)
}

/// Puts a header and code into one file, and signs it, whatever they are. `None`: they are larger than 4 GiB.
#[must_use]
pub fn seal(header: &[u8], code: &[u8], key: &SecretKey) -> Option<Vec<u8>> {
    let mut package = Vec::from(MAGIC);
    package.extend(FORMAT.to_le_bytes());
    package.extend(u32::try_from(header.len()).ok()?.to_le_bytes());
    package.extend(u32::try_from(code.len()).ok()?.to_le_bytes());
    package.extend(key.public().0);
    package.extend(header);
    package.extend(code);
    let signature = key.0.sign(&package);
    package.extend(signature.to_bytes());
    Some(package)
}
