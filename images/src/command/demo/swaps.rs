//! The demo's swaps: the versions that may take the driver's place take it in turn.
//!
//! They are packages like any other, signed by a key that is made for this run and forgotten with it.

use koboshi_core::ComponentId;
use koboshi_core::incident::{Incident, Successor, Verdict};
use koboshi_host::image::ImageDevice;
use koboshi_package::SecretKey;
use koboshi_sh4::tools::Trouble;

use crate::Composed;
use crate::command::pack::{own_version, packed};
use crate::registry::packages;
use crate::run::system::{Loading, System};

/// Versions that take a component's place in turn.
pub(super) struct Swaps {
    id: ComponentId,
    packages: Vec<Vec<u8>>,
    every: u64,
    next_at: u64,
    asked: usize,
    on_its_way: bool,
}

/// How many swaps came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// The new version stays.
    pub(super) stayed: u64,
    /// It went back by itself.
    pub(super) undone: u64,
    /// It is on probation yet.
    pub(super) open: u64,
}

impl Count {
    pub(super) fn of<'a>(incidents: impl Iterator<Item = &'a Incident>) -> Self {
        let mut count = Count::default();
        for swap in incidents.filter_map(|incident| incident.swap).filter(|swap| swap.to == Successor::New) {
            match swap.verdict {
                Verdict::Stays(_) => count.stayed += 1,
                Verdict::Undone(_) | Verdict::PutBack(_) => count.undone += 1,
                Verdict::Open => count.open += 1,
            }
        }
        count
    }
}

impl Swaps {
    /// Packs all versions that may take the place of the component that owns this device.
    ///
    /// # Errors
    /// None may, or one cannot be packed.
    pub(super) fn prepare(
        every: u64,
        key: &SecretKey,
        composed: &Composed,
        serial: &ImageDevice,
    ) -> Result<Self, Trouble> {
        let id = serial.owner;
        let instance = &composed.manifest.components[id.index()];
        let name = &instance.name.value;
        let Some(swappable) = &instance.swappable else {
            return Err(Trouble::new(
                format!("`{name}` drives the line, and is not swappable in this image."),
                "write `swappable = { room = \"1 MiB\" }` into its `[[component]]`.",
            ));
        };
        let all = packages();
        // The one that runs comes last.
        let (own, others): (Vec<_>, Vec<_>) =
            swappable.value.packages.iter().partition(|package| **package == instance.package.value);
        let mut made = Vec::new();
        for wanted in others.into_iter().chain(own) {
            let Some(package) = all.iter().find(|package| package.name == wanted) else {
                let what =
                    format!("`{wanted}` may take the place of `{name}`, and nothing of that name is known here.");
                return Err(Trouble::new(what, "name packages that are, in `swappable`."));
            };
            made.push(packed(package, composed.manifest.platform, own_version(package)?, key)?);
        }
        Ok(Swaps { id, packages: made, every, next_at: every, asked: 0, on_its_way: false })
    }

    /// Asks for the next swap when it is time, and the last one is over; a package that is refused is a fault of the demo's.
    pub(super) fn turn(&mut self, system: &mut impl System) -> Option<String> {
        match system.loading() {
            Some(Loading::Refused { what, .. }) => {
                self.on_its_way = false;
                return Some(what);
            }
            Some(Loading::Commanded { .. }) => self.on_its_way = false,
            Some(Loading::Sent { .. }) | None => {}
        }
        let now = system.now();
        if self.on_its_way || now < self.next_at || !system.state(self.id).alive() || system.swap_is_under_way(self.id)
        {
            return None;
        }
        self.next_at = now + self.every;
        let package = self.packages.get(self.asked % self.packages.len().max(1))?.clone();
        self.asked += 1;
        match system.load(self.id, package, false) {
            Ok(()) => self.on_its_way = true,
            Err((what, _)) => return Some(what),
        }
        None
    }
}
