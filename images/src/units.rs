//! Quantities as people write them: a number, and a unit.
//!
//! The rule: no quantity without its unit, and no unit that is of another kind. It must never round what it reads: a
//! value that is not a whole number of the smallest unit is refused.

/// A kind of quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Time, in nanoseconds.
    Time,
    /// Frequency, in hertz.
    Frequency,
    /// Speed of a line, in bits per second.
    Speed,
    /// Memory, in bytes.
    Memory,
}

impl Quantity {
    /// Its units, each with its worth in the smallest one.
    const fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Quantity::Time => {
                &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000)]
            }
            Quantity::Frequency => &[("Hz", 1), ("kHz", 1_000), ("MHz", 1_000_000), ("GHz", 1_000_000_000)],
            Quantity::Speed => &[("baud", 1), ("kbaud", 1_000), ("Mbaud", 1_000_000)],
            Quantity::Memory => &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)],
        }
    }

    /// What it is called, with an example of how it is written.
    #[must_use]
    pub const fn example(self) -> (&'static str, &'static str) {
        match self {
            Quantity::Time => ("a time", "200 us"),
            Quantity::Frequency => ("a frequency", "33.333 MHz"),
            Quantity::Speed => ("a line speed", "115200 baud"),
            Quantity::Memory => ("a size", "8 KiB"),
        }
    }

    /// Reads a quantity of this kind.
    ///
    /// # Errors
    /// [`Misread`], with what would be right.
    pub fn read(self, text: &str) -> Result<u64, Misread> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let unit = unit.trim();
        let number = number.replace('_', "");
        if number.is_empty() {
            return Err(Misread::NoNumber);
        }
        let known: Vec<&str> = self.units().iter().map(|(name, _)| *name).collect();
        if unit.is_empty() {
            return Err(Misread::NoUnit { units: known });
        }
        let Some((_, worth)) = self.units().iter().find(|(name, _)| *name == unit) else {
            return Err(Misread::UnknownUnit { unit: unit.to_owned(), units: known });
        };
        let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
        let part = part.trim_end_matches('0');
        let scale = u32::try_from(part.len()).ok().and_then(|digits| 10_u128.checked_pow(digits));
        let digits = format!("{whole}{part}").parse::<u128>().ok();
        let (Some(scale), Some(digits)) = (scale, digits) else {
            return Err(Misread::NoNumber);
        };
        let total = digits.checked_mul(u128::from(*worth)).ok_or(Misread::TooLarge)?;
        if total % scale != 0 {
            return Err(Misread::NotWhole { smallest: self.units()[0].0 });
        }
        u64::try_from(total / scale).map_err(|_| Misread::TooLarge)
    }

    /// Writes a quantity with the unit that suits it.
    #[must_use]
    pub fn write(self, value: u64) -> String {
        let (unit, worth) = self.units().iter().rev().find(|(_, worth)| value >= *worth).unwrap_or(&self.units()[0]);
        let text = format!("{:.3}", value as f64 / *worth as f64);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{text} {unit}")
    }
}

/// Why a quantity cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// It does not begin with a number.
    NoNumber,
    /// It has no unit.
    NoUnit {
        /// Those that fit.
        units: Vec<&'static str>,
    },
    /// Its unit is none of this kind.
    UnknownUnit {
        /// What it says.
        unit: String,
        /// Those that fit.
        units: Vec<&'static str>,
    },
    /// It is not a whole number of the smallest unit.
    NotWhole {
        /// The smallest unit.
        smallest: &'static str,
    },
    /// It does not fit into 64 bits.
    TooLarge,
}

impl std::fmt::Display for Misread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Misread::NoNumber => out.write_str("it does not begin with a number"),
            Misread::NoUnit { units } => write!(out, "it has no unit ({})", units.join(", ")),
            Misread::UnknownUnit { unit, units } => {
                write!(out, "`{unit}` is not one of its units ({})", units.join(", "))
            }
            Misread::NotWhole { smallest } => write!(out, "it is not a whole number of {smallest}"),
            Misread::TooLarge => out.write_str("it is too large"),
        }
    }
}

impl std::error::Error for Misread {}

#[cfg(test)]
mod tests {
    use super::{Misread, Quantity};

    #[test]
    fn a_quantity_is_a_number_and_a_unit() {
        assert_eq!(Quantity::Time.read("200 us"), Ok(200_000));
        assert_eq!(Quantity::Time.read("1.5ms"), Ok(1_500_000));
        assert_eq!(Quantity::Frequency.read("33.333 MHz"), Ok(33_333_000));
        assert_eq!(Quantity::Speed.read("1 Mbaud"), Ok(1_000_000));
        assert_eq!(Quantity::Memory.read("8 KiB"), Ok(8_192));
    }

    #[test]
    fn a_number_alone_is_refused() {
        assert!(matches!(Quantity::Time.read("200"), Err(Misread::NoUnit { .. })));
        assert!(matches!(Quantity::Time.read("us"), Err(Misread::NoNumber)));
    }

    #[test]
    fn a_unit_of_another_kind_is_refused() {
        assert!(matches!(Quantity::Time.read("200 Hz"), Err(Misread::UnknownUnit { .. })));
    }

    #[test]
    fn nothing_is_rounded_away() {
        assert_eq!(Quantity::Time.read("0.5 ns"), Err(Misread::NotWhole { smallest: "ns" }));
        assert_eq!(Quantity::Time.read("99999999999 min"), Err(Misread::TooLarge));
    }

    #[test]
    fn a_quantity_is_written_with_the_unit_that_suits_it() {
        assert_eq!(Quantity::Time.write(20_500), "20.5 us");
        assert_eq!(Quantity::Time.write(0), "0 ns");
        assert_eq!(Quantity::Speed.write(115_200), "115.2 kbaud");
    }
}
