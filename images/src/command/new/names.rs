//! What a thing of a person's own may be called.

use super::{Refused, misused};

/// Letters of a name, at most.
const MOST: usize = 40;

/// Words that a crate cannot be called: Rust's own, those of its standard crates, and devices of Windows.
const RESERVED: &str = "
    abstract alloc as async aux await become box break con const continue core crate do dyn else enum extern
    false final fn for gen if impl in let loop macro match mod move mut nul override priv prn proc-macro pub
    ref return self static std struct super test trait true try type typeof union unsafe unsized use virtual
    where while yield";

/// Whether a crate, a directory and a package can be called so.
pub(super) fn check(name: &str) -> Result<(), Refused> {
    let wrong = |why: &str| Err(misused(format!("`{name}` cannot be a name: {why}."), "choose one such as `blinker`."));
    let is_fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        return wrong("it has to begin with a small letter");
    }
    if let Some(letter) = name.chars().find(|letter| !is_fine(*letter)) {
        return wrong(&format!("{letter:?} is no small letter, digit or hyphen"));
    }
    if name.ends_with('-') || name.contains("--") {
        return wrong("a hyphen stands between two words");
    }
    if name.len() > MOST {
        return wrong(&format!("it has more than {MOST} letters"));
    }
    if RESERVED.split_whitespace().any(|word| word == name) {
        return wrong("Rust or the file system has that word for itself");
    }
    if name == "koboshi" || name.starts_with("koboshi-") {
        return wrong("Koboshi's own crates are called so");
    }
    if name.ends_with("-interface") || name.ends_with("-client") {
        return wrong("`-interface` and `-client` are added to it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_name_is_one_that_cargo_rust_and_every_file_system_take() {
        for fine in ["blinker", "a", "led-3", "motor2-left"] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        let too_long = "a".repeat(41);
        for wrong in [
            "",
            "3d",
            "-a",
            "a-",
            "a--b",
            "Blinker",
            "my_led",
            "a b",
            "../a",
            "a/b",
            "loop",
            "test",
            "con",
            "koboshi-x",
            "koboshi",
            "a-interface",
            "a-client",
            "lüfter",
            &too_long,
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
