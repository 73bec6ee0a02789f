//! A reset of the machine, for real: the kernel faults, the emulator begins again, and its memory is as it was.
//!
//! A component that cannot run is given up, and its safe action is one that faults in the kernel: with BL = 1 that resets.
//!
//! The rules: what was known before is known after, all of it, or nothing; and a safe action that was cut short is taken once
//! more and not for ever.

use std::fmt::Write as _;
use std::time::Duration;

use koboshi_board::emulator::{Emulator, How};
use koboshi_core::ComponentId;
use koboshi_core::kernel::Rights;
use koboshi_core::life::Fault;
use koboshi_host::image::{Costs, Image, ImageComponent};
use koboshi_host::linked::Linked;
use koboshi_restart_manager::policy::{Escalation, Group, Policy, Strategy};
use koboshi_sh4::tools::{Qemu, Trouble};
use koboshi_sh4_abi::words::{ENTRY, HEADER};

use super::on_board::{INSTRUCTION, changed_image, reported, source};
use crate::suite::{Context, Report};

/// The one who cannot run: nobody tells it what to do.
const UNFIT: ComponentId = ComponentId(1);

/// Nothing more comes of a run after this long on the wall's clock.
const PATIENCE: Duration = Duration::from_secs(5);

fn image() -> Image {
    let group = Group {
        members: heapless::Vec::from_slice(&[UNFIT.0]).unwrap_or_default(),
        strategy: Strategy::OneForOne,
        intensity: 2,
        period_ms: 1_000,
        backoff_first_ms: 1,
        backoff_most_ms: 1,
        rate_per_second: 200,
        escalate: Escalation::GiveUp,
    };
    let policy = Policy { groups: heapless::Vec::from_slice(&[group]).unwrap_or_default() };
    let component = |name: &str, linked, configuration, rights| ImageComponent {
        name: name.to_owned(),
        linked,
        vcpu: 0,
        respond_within: 2_000_000,
        recover_within: None,
        swappable: None,
        configuration,
        rights,
    };
    let manager = Linked::new(&koboshi_restart_manager::DESCRIPTION, koboshi_restart_manager::start);
    let rights = Rights { control: UNFIT.bit(), facts: true, ..Rights::default() };
    let unfit = Linked::new(&koboshi_echo::DESCRIPTION, koboshi_echo::start);
    Image {
        components: vec![
            component("manager", manager, postcard::to_stdvec(&policy).unwrap_or_default(), rights),
            component("unfit", unfit, vec![], Rights::default()),
        ],
        connections: vec![],
        devices: vec![],
        manager: Some(ComponentId(0)),
        costs: Costs::default(),
    }
}

/// The tables with these writes as the safe action of the last component, and then one that no processor can do.
fn falling(text: &str, writes: &str) -> String {
    let (before, behind) = text.rsplit_once("safe: &[]").unwrap_or((text, ""));
    format!("{before}safe: &[{writes}SafeWrite {{ address: 0xa0000001, width: Width::Word, value: 0 }}]{behind}")
}

/// The same, which destroys a word of both copies of what the kernel has kept of the first incident.
fn forgetting(text: &str) -> String {
    let record = text.split_once("record: (0x").and_then(|(_, rest)| u32::from_str_radix(rest.get(..8)?, 16).ok());
    let entries = (record.unwrap_or(0) | 0xA000_0000) + 4 * 2 * HEADER as u32;
    let destroy = |copy: u32| {
        let word = entries + 4 * (copy * ENTRY as u32 + 10);
        format!("SafeWrite {{ address: {word:#x}, width: Width::Word, value: 0xdeadbeef }}, ")
    };
    falling(text, &(destroy(0) + &destroy(1)))
}

/// What the kernel says of each beginning but the first, and what it has done before.
#[derive(Debug, Default)]
struct Found {
    boots: u32,
    ends: u32,
    /// Ends when the machine was reset, and what was said then.
    anew: Option<(u32, String)>,
    /// Somebody was started who was given up before.
    forgotten: bool,
}

fn watch(context: &Context<'_>, name: &str, change: &dyn Fn(String) -> String) -> Result<Found, Trouble> {
    let sources =
        vec![source("restart-manager", "koboshi_restart_manager::start"), source("echo", "koboshi_echo::start")];
    let made = changed_image(context, ("reset", name), &image(), sources, vec![], Some(change))?;
    let how = How { counted: Some(INSTRUCTION), resets: true, ..How::default() };
    let emulator = Emulator::start(Qemu::find()?.path(), &made.file, &how)?;
    let mut found = Found::default();
    emulator.lines_until(PATIENCE, |line| {
        let text = line.strip_prefix("koboshi: ").unwrap_or("");
        found.boots += u32::from(text == "boot");
        found.ends += u32::from(text.starts_with("ends unfit "));
        if let Some(anew) = text.strip_prefix("begins anew ") {
            found.anew = Some((found.ends, anew.to_owned()));
        }
        found.forgotten |= found.boots > 1 && text.starts_with("starts unfit ");
        found.forgotten
    });
    Ok(found)
}

/// The suite `sh4-reset`.
pub fn reset(context: &Context<'_>) -> Report {
    reported(run(context))
}

fn run(context: &Context<'_>) -> Result<Report, Trouble> {
    let mut report = Report::default();
    let mut check = |what: &str, good: bool, found: &Found| {
        report.passed += u64::from(good);
        report.failed += u64::from(!good);
        let _ = writeln!(report.text, "{what}: {}: {found:?}", if good { "as it must be" } else { "WRONG" });
    };
    let kept = watch(context, "kept", &|text| falling(&text, ""))?;
    // Each end is an incident, and so is a reset. The second one is that of the safe action when it is taken again.
    let said = |ends: u32| format!("3 because {} incidents {} given up 00000002", Fault::Reset.code(), ends + 2);
    let good = kept.boots == 3
        && !kept.forgotten
        && kept.anew.as_ref().is_some_and(|(ends, text)| *ends > 0 && *text == said(*ends));
    check("a reset by a fault in the kernel", good, &kept);
    // The same with a record that is not whole: nothing of it is believed, so all begins as for the first time.
    let dropped = watch(context, "dropped", &|text| forgetting(&text))?;
    check("a record that was damaged", dropped.boots == 2 && dropped.forgotten && dropped.anew.is_none(), &dropped);
    Ok(report)
}
