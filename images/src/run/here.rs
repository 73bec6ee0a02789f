//! An image that is a process of this machine.

use std::time::Duration;

use koboshi_board::pack::module_room;
use koboshi_core::ComponentId;
use koboshi_core::incident::Incident;
use koboshi_core::kernel::{Command, Denied, SwapPhase, Version};
use koboshi_core::life::State;
use koboshi_host::image::DeviceModelKind;
use koboshi_host::journal::Event;
use koboshi_host::linked::Linked;
use koboshi_host::machine::{Machine, RunEnd};
use koboshi_host::module::Module;
use koboshi_host::strike::How;
use koboshi_host::wire::LineSettings;
use koboshi_interface_kit::Key;
use koboshi_package::{self as package, Kept, Package, Whose};

use super::protocol::Process;
use super::system::{Carried, CarriedOutside, Failed, Loading, Over, System, panic_of};
use super::{story, swap};
use crate::compose::Composed;
use crate::gate::{self, Gate};

/// Bytes that may wait at an outside end.
const WAITING: usize = 4_096;

/// An image that is a process of this machine.
pub(crate) struct Here {
    machine: Machine,
    names: Vec<String>,
    /// What lies in both places of code of each component, in words.
    packages: Vec<[String; 2]>,
    gates: Vec<Option<Gate>>,
    /// What the code in both places of each component keeps: a key and a schema.
    keeps: Vec<[Keeps; 2]>,
    loading: Option<Loading>,
    /// The number of the next event of the journal.
    journal: u64,
}

/// The key and the schema of kept state.
type Keeps = Option<(Key, String)>;

fn keeps(kept: Option<Kept<'_>>) -> Keeps {
    kept.map(|kept| (kept.key, kept.schema.to_owned()))
}

impl Here {
    pub(crate) fn new(machine: Machine, composed: &Composed) -> Self {
        let components = &composed.image.components;
        let names = components.iter().map(|component| component.name.clone()).collect();
        let instances = composed.manifest.components.iter().zip(components);
        let gates: Vec<Option<Gate>> =
            instances.map(|(instance, component)| Gate::of(&composed.manifest, instance, component)).collect();
        let keeps = gates.iter().map(|gate| [gate.as_ref().and_then(|gate| keeps(gate.kept())), None]).collect();
        let packages = composed.manifest.components.iter().map(|part| [part.package.value.clone(), String::new()]);
        Here { machine, names, packages: packages.collect(), gates, keeps, loading: None, journal: 0 }
    }

    /// Judges a package, and has it take the component's place: the package, in words.
    fn let_in(&mut self, id: ComponentId, bytes: &[u8], one_way: bool) -> Result<String, Failed> {
        let name = self.names.get(id.index()).cloned().unwrap_or_default();
        let place = self.machine.place(id);
        let LetIn { what, way_back, module, keeps, reads } = self.judge(id, place, bytes)?;
        if !way_back && !one_way {
            let why = format!("from what {what} keeps there is no way back to what `{name}` keeps now");
            let remedy = "after its first answer it could not be undone; if that is what you want, say --one-way.";
            return Err((why, remedy.to_owned()));
        }
        let state = self.state(id);
        if state == State::Absent {
            return Err(swap::denied(&name, Denied::State(state), false));
        }
        let under_way = |_| swap::denied(&name, Denied::State(State::Running), false);
        self.machine.put(id, module, reads).map_err(under_way)?;
        self.keeps[id.index()][place ^ 1] = keeps;
        self.packages[id.index()][place ^ 1].clone_from(&what);
        let done = self.machine.command(id, Command::Swap(Version::New { way_back }));
        done.map_err(|refused| swap::denied(&name, refused, false)).map(|()| what)
    }

    /// Judges a package for the place of a component, whose present code is in this place.
    fn judge(&self, id: ComponentId, place: usize, bytes: &[u8]) -> Result<LetIn, Failed> {
        let name = self.names.get(id.index()).map_or("?", String::as_str);
        let gate = self.gates.get(id.index()).and_then(Option::as_ref);
        let gate = gate.ok_or_else(|| swap::denied(name, Denied::Right, false))?;
        let kept = self.keeps[id.index()][place].as_ref().map(|(key, schema)| Kept { key: *key, schema });
        let parts = gate.parts();
        let let_in = gate.let_in(bytes, &parts, kept).and_then(|header| Ok((header, Package::open(bytes)?)));
        let (header, package) = let_in.map_err(|reason| {
            let remedy = gate::remedy(reason.remedy(), reason.whose());
            (format!("the package is refused: {reason}"), remedy)
        })?;
        let what = format!("{} {}", header.name, header.version);
        let takes = module_room(package.code).unwrap_or(u32::MAX);
        if takes > header.room {
            let why = format!("{what} says that it needs {} bytes, and takes {takes}", header.room);
            let remedy = gate::remedy("pack it anew with `koboshi pack`.", Whose::Maker);
            return Err((format!("the package is refused: {why}"), remedy));
        }
        let built = Module::new(package.code).and_then(|module| Linked::module(self.machine.description(id), &module));
        let module = built.map_err(|bad| {
            (format!("{what} was signed, and is no module that can run here: {bad}"), "pack it anew.".to_owned())
        })?;
        let way_back = !matches!(header.carries(kept), Some(package::Carried::Migrated { down: false }));
        let reads = header.kept.map(|kept| kept.key).into_iter().chain(header.migrations.iter().map(|way| way.from));
        Ok(LetIn { what, way_back, module, keeps: keeps(header.kept), reads: reads.collect() })
    }
}

/// A package that may take a component's place.
struct LetIn {
    /// Its name and version.
    what: String,
    /// There is a way back from what it keeps.
    way_back: bool,
    module: Linked,
    keeps: Keeps,
    /// The keys of all that it can go on with.
    reads: Vec<Key>,
}

impl System for Here {
    fn now(&self) -> u64 {
        self.machine.now()
    }

    fn run_until(&mut self, until: u64) -> Result<(), Over> {
        match self.machine.run_until(until) {
            RunEnd::Circle { component } => Err(Over::Circle(component)),
            _ => Ok(()),
        }
    }

    /// Takes over what people want to know of what has happened: not every doorbell.
    fn said(&mut self) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let journal = self.machine.journal();
        let (dropped, events) = journal.since(self.journal);
        if dropped > 0 {
            found.push((self.machine.now(), format!("... {dropped} events came too fast to be written down")));
        }
        for (number, at, event) in events {
            self.journal = number + 1;
            if !matches!(event, Event::Rang { .. } | Event::Interrupt { .. } | Event::Struck { .. }) {
                found.push((at, story::named(&journal.in_words(event).to_string(), &self.names)));
            }
        }
        found
    }

    fn panics(&mut self) -> Vec<String> {
        self.machine.take_panics()
    }

    fn stalled(&self) -> Duration {
        self.machine.stalled()
    }

    fn silent(&self) -> Option<Duration> {
        None
    }

    fn processes(&self) -> Vec<Process> {
        story::processes(&self.machine, &self.packages)
    }

    fn state(&self, id: ComponentId) -> State {
        self.machine.facts(id).map_or(State::Absent, |facts| facts.state)
    }

    fn incident_count(&self) -> u32 {
        self.machine.incidents(u32::MAX).0
    }

    fn incident_from(&self, number: u32) -> Option<Incident> {
        self.machine.incidents_from(number)
    }

    fn kept_at(&self, number: u32) -> Option<Option<bool>> {
        Some(self.machine.kept_at(number))
    }

    fn knock(&mut self, id: ComponentId, how: How) {
        self.machine.knock(id, how);
    }

    fn place_of(&self, incident: &Incident) -> Option<String> {
        panic_of(&incident.at)
    }

    fn registers_of(&self, _: &Incident) -> Option<[u32; 16]> {
        None
    }

    fn wake(&mut self, id: ComponentId) {
        self.machine.wake(id);
    }

    fn end(&mut self, id: ComponentId) {
        self.machine.kill(id);
    }

    fn start(&mut self, id: ComponentId) -> Result<(), Denied> {
        self.machine.command(id, Command::Start)
    }

    fn load(&mut self, id: ComponentId, package: Vec<u8>, one_way: bool) -> Result<(), Failed> {
        let what = self.let_in(id, &package, one_way)?;
        self.loading = Some(Loading::Commanded { what });
        Ok(())
    }

    fn loading(&mut self) -> Option<Loading> {
        self.loading.take()
    }

    fn swap_is_under_way(&self, id: ComponentId) -> bool {
        self.machine.swap_phase(id) != SwapPhase::None
    }

    fn brings(&self) -> Option<ComponentId> {
        None
    }

    fn back(&mut self, id: ComponentId) -> Result<u32, Denied> {
        self.machine.command(id, Command::Swap(Version::Before)).map(|()| 0)
    }

    fn asked_back(&mut self, _: u32) -> Option<Result<(), Failed>> {
        Some(Ok(()))
    }

    fn program(&mut self, device: &str, offered: &[u8], takes: bool) -> Carried {
        let done = self.machine.application(device, |end| Carried {
            // A line that is gone takes nothing: what was sent stays where it is until it is back.
            taken: end.offer(offered).unwrap_or(0),
            arrived: if takes { end.take_received() } else { Vec::new() },
            announced: end.take_announced(),
            gone: end.failed(),
        });
        done.unwrap_or_default()
    }

    fn set_program_line(&mut self, device: &str, baud: u32, framing: u32) {
        self.machine.application(device, |end| end.set_line(baud, framing));
    }

    fn program_is_drained(&mut self, device: &str) -> bool {
        self.machine.application(device, |end| end.waiting() == 0).unwrap_or(true)
    }

    fn program_may_send(&mut self, device: &str) -> bool {
        self.machine.application(device, |end| end.line_is_set() && !end.failed()).unwrap_or(false)
    }

    fn outside(&mut self, device: &str, offered: &[u8], holds: bool) -> CarriedOutside {
        // Before its driver has set it, or after it was given up, nothing would be heard.
        let listens = self.machine.device(device, DeviceModelKind::listens).unwrap_or(false);
        let done = self.machine.wire(device, |wire| {
            let taken = if listens { WAITING.saturating_sub(wire.waiting()).min(offered.len()) } else { 0 };
            wire.send_bytes(offered[..taken].iter().copied());
            wire.hold(holds);
            CarriedOutside { taken, arrived: wire.take_received(), events: std::mem::take(&mut wire.events), lost: 0 }
        });
        done.unwrap_or_default()
    }

    fn set_outside_line(&mut self, device: &str, settings: LineSettings) {
        self.machine.wire(device, |wire| wire.set_settings(settings));
    }

    fn lacks(&self, _: bool, _: &LineSettings) -> Option<&'static str> {
        None
    }

    fn outside_is_idle(&mut self, device: &str) -> bool {
        self.machine.wire(device, |wire| wire.is_idle()).unwrap_or(true)
    }

    /// Bytes are lost where they can be: in a receiver that was full, or not yet set up.
    fn outside_lost_some(&mut self, device: &str) -> bool {
        let lost = |model: &DeviceModelKind| model.wire().is_some_and(|(wire, _)| wire.is_idle()) && model.lost() > 0;
        self.machine.device(device, lost).unwrap_or(false)
    }

    fn reboots(&self) -> u32 {
        self.machine.reboots()
    }

    fn wrongs(&mut self, program: &str) -> Vec<String> {
        let mut found = Vec::new();
        if self.machine.stale_accesses() > 0 {
            found.push(format!("{} accesses by incarnations that had ended", self.machine.stale_accesses()));
        }
        let misuses = self.machine.application(program, |end| end.misuses()).unwrap_or(0);
        if misuses > 0 {
            found.push(format!("{misuses} accesses that took nothing or gave too much: a fault of the Monitor"));
        }
        found.extend(self.machine.panics().iter().map(|panic| format!("a panic that nobody asked for: {panic}")));
        found
    }
}

#[cfg(test)]
mod tests;
