//! The keys that may sign, as an image names them.

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::SIGNATURE;

/// What the text of a public key begins with.
pub const PREFIX: &str = "koboshi-ed25519:";

/// A public key of Ed25519 (RFC 8032): whoever has the secret half can sign.
///
/// Its text is [`PREFIX`] and its 32 bytes, each as two hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Whether this key has signed these bytes. One that is no key at all, or for which anybody can sign, has signed
    /// nothing.
    pub(crate) fn has_signed(&self, bytes: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        let key = VerifyingKey::from_bytes(&self.0);
        // The strict form: of one message and one key there is one signature, and no weak keys.
        key.is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(PREFIX)?;
        hexadecimal(&self.0, out)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Writes bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    /// It does not begin as a key does.
    #[error("a public key begins with `{PREFIX}`")]
    Prefix,
    /// What follows is not as long as a key.
    #[error("64 hexadecimal digits follow `{PREFIX}`, and here are {0}")]
    Length(usize),
    /// What follows is not written as a key is.
    #[error("a key is written with the digits 0 to 9 and a to f")]
    Digit,
    /// No secret belongs to it, or everybody knows it.
    #[error("these digits are no key that anybody has: was one of them changed?")]
    NoKey,
}

impl FromStr for PublicKey {
    type Err = Misread;

    fn from_str(text: &str) -> Result<Self, Misread> {
        let bytes = of_hexadecimal(text.strip_prefix(PREFIX).ok_or(Misread::Prefix)?)?;
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublicKey(bytes)),
            _ => Err(Misread::NoKey),
        }
    }
}

/// 32 bytes, each of two digits.
pub(crate) fn of_hexadecimal(digits: &str) -> Result<[u8; 32], Misread> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return Err(Misread::Length(digits.chars().count()));
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(Misread::Digit),
    };
    for (to, [high, low]) in bytes.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Ok(bytes)
}
