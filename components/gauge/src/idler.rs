//! Somebody with nothing to do.

use core::future::pending;

use koboshi_runtime::{Description, Exit, Start};

/// For the composer.
pub const DESCRIPTION: Description =
    Description { name: "idler", ports: &[], devices: &[], interrupts: &[], kept: None };

/// Waits for ever.
pub async fn start(_: Start) -> Exit {
    pending().await
}
