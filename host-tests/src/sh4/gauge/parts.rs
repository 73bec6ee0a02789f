//! Small components that call each other between marks: an image of few, and one of many.
//!
//! A mark is the address of the trap with which a component writes to the log. An instruction that missed in the TLB is
//! counted again when it is repeated.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use koboshi_board::{Made, Placed, Source};
use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_gauge::{STEPS, Step, client, driver, idler, server};
use koboshi_host::application::Application;
use koboshi_host::image::{Connection, Costs, DeviceModelKind, Image, ImageComponent, ImageDevice, PortEnd, WhenGone};
use koboshi_host::linked::Linked;
use koboshi_interfaces::control;
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_runtime::Description;
use koboshi_sh4::link::Optimise;
use koboshi_sh4::tools::{Qemu, Trouble};

use super::count::{Event, failed, run, symbol};
use super::{FEW, KERNEL_STACKS, built};
use crate::sh4::on_board::source;

const MANAGER: ComponentId = ComponentId(0);
const SERVER: ComponentId = ComponentId(1);
const DRIVER: ComponentId = ComponentId(2);
const CLIENT: ComponentId = ComponentId(3);
const LOWER: ComponentId = ComponentId(4);

/// What is read from a run.
#[derive(Default)]
pub(super) struct Counts {
    /// By component: for each mark, instructions before it and instructions when it was left.
    marks: BTreeMap<ComponentId, Vec<(u64, u64)>>,
    /// Of each mark, misses of the TLB before it.
    misses: BTreeMap<ComponentId, Vec<u64>>,
    /// Instructions before the last interrupt that came before a mark, by mark of the driver.
    interrupts: Vec<u64>,
    /// Instructions before the first component's first one.
    first: Option<u64>,
    /// Instructions before the client's first one.
    client: Option<u64>,
}

/// The addresses that say something.
struct Addresses {
    marks: BTreeMap<u32, ComponentId>,
    vectors: u32,
    manager: u32,
    client: u32,
}

/// Runs an image until the client's last mark.
fn count(qemu: &Qemu, image: &Path, addresses: &Addresses) -> Result<Counts, Trouble> {
    let mut counts = Counts::default();
    let (mut interrupt, mut missed) = (0, 0);
    let wanted = 2 * STEPS.len() + 1;
    run(qemu, image, |done, event| {
        let Event::At(address) = event else { return ControlFlow::Continue(()) };
        if let Some(who) = addresses.marks.get(&address) {
            counts.marks.entry(*who).or_default().push((done, done));
            counts.misses.entry(*who).or_default().push(missed);
            if *who == DRIVER {
                counts.interrupts.push(interrupt);
            }
        } else if let Some(who) = addresses.marks.get(&address.wrapping_sub(2))
            && let Some((_, left)) = counts.marks.get_mut(who).and_then(|marks| marks.last_mut())
        {
            *left = done;
            if *who == CLIENT && counts.marks.get(who).is_some_and(|marks| marks.len() == wanted) {
                return ControlFlow::Break(());
            }
        } else if address == addresses.vectors + 0x600 {
            interrupt = done;
        } else if address == addresses.vectors + 0x400 {
            missed += 1;
        } else if address == addresses.manager {
            counts.first.get_or_insert(done);
        } else if address == addresses.client {
            counts.client.get_or_insert(done);
        }
        ControlFlow::Continue(())
    })?;
    let found = |who| counts.marks.get(&who).map_or(0, Vec::len);
    if found(CLIENT) != wanted || found(DRIVER) != 3 {
        let (client, driver) = (found(CLIENT), found(DRIVER));
        return Err(failed(format!("the client came to {client} of {wanted} marks, the driver to {driver} of 3")));
    }
    Ok(counts)
}

/// The image: manager, a server, a driver, a client, somebody below the client; and idlers.
fn image(count: usize) -> Image {
    let component = |name: String, description: &'static Description, vcpu, configuration, rights| ImageComponent {
        recover_within: None,
        swappable: None,
        name,
        // The programs for the board are built from their crates; on this machine nobody runs.
        linked: Linked::new(description, idler::start),
        vcpu,
        respond_within: 1_000_000_000,
        configuration,
        rights,
    };
    let group = |members: &[u8], strategy, escalate| Group {
        members: heapless::Vec::from_slice(members).unwrap_or_default(),
        strategy,
        intensity: 5,
        period_ms: 10_000,
        backoff_first_ms: 1,
        backoff_most_ms: 2,
        rate_per_second: 1_000,
        escalate,
    };
    let others: Vec<u8> = (CLIENT.0..count as u8).collect();
    let groups = [
        group(&[DRIVER.0, SERVER.0], Strategy::OneForOne, Escalation::Image),
        group(&others, Strategy::OneForOne, Escalation::Image),
    ];
    let policy = Policy { groups: heapless::Vec::from_slice(&groups).unwrap_or_default() };
    let all = (1..count as u8).fold(0, |set, id| set | ComponentId(id).bit());
    let may = Rights { control: all, facts: true, blame: true, reboot: true, load: 0 };
    let none = Rights::default;
    let policy = postcard::to_stdvec(&policy).unwrap_or_default();
    let mut components = vec![
        component("manager".to_owned(), &koboshi_restart_manager::DESCRIPTION, 0, policy, may),
        component("server".to_owned(), &server::DESCRIPTION, 1, vec![], none()),
        component("driver".to_owned(), &driver::DESCRIPTION, 1, vec![], none()),
        component("client".to_owned(), &client::DESCRIPTION, 2, vec![], none()),
        component("lower".to_owned(), &server::DESCRIPTION, 3, vec![], none()),
    ];
    let idlers = FEW..count;
    components
        .extend(idlers.map(|number| component(format!("idler-{number}"), &idler::DESCRIPTION, 3, vec![], none())));
    let end = |component, port| PortEnd { component, port };
    let connect = |interface, near, far| Connection {
        when_gone: WhenGone::default(),
        interface,
        near,
        far,
        slots: 4,
        routed: false,
    };
    let gauge = &koboshi_gauge::gauge::INTERFACE;
    let connections = vec![
        connect(gauge, end(CLIENT, 0), end(SERVER, 0)),
        connect(gauge, end(CLIENT, 1), end(DRIVER, 0)),
        connect(gauge, end(CLIENT, 2), end(LOWER, 0)),
        connect(&control::INTERFACE, end(CLIENT, 3), end(MANAGER, 0)),
    ];
    let devices = vec![ImageDevice {
        safe: vec![],
        name: "tmu".to_owned(),
        owner: DRIVER,
        number: 0,
        first_line: 0,
        // Only its place on the board counts.
        model: DeviceModelKind::Application(Box::new(Application::new(1))),
    }];
    Image { components, connections, devices, manager: Some(MANAGER), costs: Costs::default() }
}

fn sources(count: usize) -> Vec<Source> {
    let ours = |start: &str| source("gauge", &format!("koboshi_gauge::{start}::start"));
    let mut sources = vec![
        source("restart-manager", "koboshi_restart_manager::start"),
        ours("server"),
        ours("driver"),
        ours("client"),
        ours("server"),
    ];
    sources.resize_with(count, || ours("idler"));
    sources
}

/// An image that was built and run.
pub(super) fn one(count_of: usize, optimise: Optimise) -> Result<(Made, Counts), Trouble> {
    let image = image(count_of);
    // TMU2 lies beside the kernel's TMU0: what is measured is trusted.
    let devices = vec![Some(Placed { base: 0xFFD8_0000, interrupts: vec![0x440], beside_the_kernel: true })];
    let folder = format!("gauge-{count_of}-{}", optimise.level().trim_matches(['"', '\'']));
    let (made, gcc) = built((&folder, "gauge"), &image, sources(count_of), devices, optimise)?;
    let mut marks = BTreeMap::new();
    for who in [DRIVER, CLIENT] {
        marks.insert(symbol(&gcc, &made.components[who.index()].elf.path, "koboshi_trap_log")?, who);
    }
    let entry = |who: ComponentId| made.components[who.index()].entry;
    let vectors = symbol(&gcc, &made.kernel.path, "koboshi_vectors")?;
    let addresses = Addresses { marks, vectors, manager: entry(MANAGER), client: entry(CLIENT) };
    let counts = count(&Qemu::find()?, &made.file, &addresses)?;
    Ok((made, counts))
}

/// What an image has of each number, in the order of the rows.
pub(super) fn numbers((made, counts): &(Made, Counts)) -> Vec<u64> {
    let marks = |who| &counts.marks[&who];
    let step = |wanted: Step| {
        let at = STEPS.iter().position(|step| *step == wanted).unwrap_or(0);
        let between = |at: usize| marks(CLIENT)[2 * at + 1].0 - marks(CLIENT)[2 * at].1;
        between(at) - if wanted == Step::Mark { 0 } else { between(0) }
    };
    let driver = marks(DRIVER);
    let ram = |section: &&koboshi_sh4::link::Section| section.writable;
    let kernel_ram = made.kernel.sections.iter().filter(ram).map(|section| section.size).sum::<u32>() + KERNEL_STACKS;
    let tables = made.kernel.sections.iter().filter(|section| !section.writable && !section.code);
    vec![
        step(Step::Trap),
        step(Step::Time),
        step(Step::Doorbell),
        step(Step::Slots),
        step(Step::SlotsBlock),
        step(Step::Call),
        step(Step::CallBlock),
        driver[0].0 - counts.interrupts[0],
        driver[2].0 - driver[1].1,
        step(Step::Reboot),
        counts.first.unwrap_or(0),
        counts.client.unwrap_or(0),
        counts.misses[&DRIVER][2] - counts.misses[&DRIVER][1],
        made.kernel_code.into(),
        tables.map(|section| u64::from(section.size)).sum(),
        kernel_ram.into(),
    ]
}
