//! What a run of the demo came to: as tables, as JSON, and in one sentence.

use std::collections::BTreeMap;

use koboshi_core::incident::Incident;
use koboshi_host::machine::Clock;

use super::swaps::Count;
use super::{Demo, End, STUCK_AFTER, Way};
use crate::command::{FINE, Paint, count, table};
use crate::run::protocol::Process;
use crate::run::system::System;
use crate::units::Quantity;

/// What is said besides if nothing happened that the demo is about.
const NOBODY_FELL: &str =
    "\nBut nobody fell meanwhile: send a larger file, send it --for longer, or knock more often with --every.";

impl<S: System> Demo<'_, S> {
    pub(super) fn print_table(&self, shown: &Shown) {
        let paint = Paint::stdout();
        let row = |name: &str, out: u64, back: u64| vec![name.to_owned(), count(out), count(back)];
        let (out, back) = (&self.out, &self.back);
        let rows = [
            vec!["bytes".to_owned(), "program -> outside".to_owned(), "outside -> program".to_owned()],
            row("sent", out.sent, back.sent),
            row("received", out.exact.arrived, back.exact.arrived),
            row("lost", out.exact.lost, back.exact.lost),
            row("repeated", out.exact.repeated, back.exact.repeated),
            row("wrong", out.exact.wrong, back.exact.wrong),
            row("gaps announced", shown.gaps.0, shown.gaps.1),
            vec![
                "longest pause".to_owned(),
                Quantity::Time.write(out.longest_pause),
                Quantity::Time.write(back.longest_pause),
            ],
        ];
        say!("{}", table(&rows));

        let mut kinds: BTreeMap<String, BTreeMap<u8, u64>> = BTreeMap::new();
        for incident in &shown.incidents {
            *kinds.entry(incident.fault.to_string()).or_default().entry(incident.component.0).or_default() += 1;
        }
        let fallen: Vec<u8> = (0..self.names.len() as u8)
            .filter(|id| shown.incidents.iter().any(|incident| incident.component.0 == *id))
            .collect();
        if !fallen.is_empty() {
            let mut rows = vec![
                std::iter::once("incidents".to_owned())
                    .chain(fallen.iter().map(|id| self.names[usize::from(*id)].clone()))
                    .collect::<Vec<_>>(),
            ];
            for (kind, by) in &kinds {
                let cells = fallen.iter().map(|id| count(by.get(id).copied().unwrap_or(0)));
                rows.push(std::iter::once(kind.clone()).chain(cells).collect());
            }
            say!("{}", table(&rows));
        }
        let us = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |time| Quantity::Time.write(time));
        let row =
            |name: &str, times: &Spread| vec![name.to_owned(), us(times.median), us(times.worst), count(times.never)];
        let recovery = &shown.recovery;
        let rows = [
            ["recovery", "median", "worst", "never"].map(str::to_owned).to_vec(),
            row("until it is up", &recovery.up),
            row("until its first answer", &recovery.answered),
        ];
        say!("{}", table(&rows));
        say!(
            "  {} knocks, {} incidents; {} of platform time in {:.1} s; stalled for {} ms",
            count(self.knocks),
            count(shown.incidents.len() as u64),
            Quantity::Time.write(self.system.now()),
            self.began.elapsed().as_secs_f64(),
            self.system.stalled().as_millis(),
        );
        if self.swaps.is_some() {
            let Count { stayed, undone, open } = Count::of(shown.incidents.iter());
            let on_probation = if open > 0 { format!(", {} on probation", count(open)) } else { String::new() };
            say!("  {} swaps whose new version stays; {} went back{on_probation}", count(stayed), count(undone));
        }
        if self.system.reboots() > 0 {
            say!("  the image rebooted {} times: what was under way inside is lost", self.system.reboots());
        }
        if shown.garbled > 0 {
            say!("  {} garbled bytes or breaks at the outside end", count(shown.garbled));
        }
        for line in &shown.also {
            say!("  {line}");
        }
        say!("");
        say!("{}", self.verdict(shown, paint));
    }

    fn verdict(&self, shown: &Shown, paint: Paint) -> String {
        match shown.end {
            End::Stopped => format!("{}: the table shows what was done so far.", paint.strong("Stopped")),
            End::Ended => paint.bad("The emulator has ended: the table shows what was done so far."),
            End::Circle => paint.bad("Nothing moves: components give each other turns without end."),
            End::Stuck => {
                let bound = Quantity::Time.write(STUCK_AFTER);
                let mut text =
                    paint.bad(&format!("Nothing has moved for {bound} of platform time. Where everybody stands:"));
                for Process { name, state, epoch, last_fault, .. } in self.system.processes() {
                    let fault = last_fault.unwrap_or_else(|| "none".to_owned());
                    text.push_str(&format!("\n  {name}: {state}, epoch {epoch}, last fault: {fault}"));
                }
                text
            }
            End::Arrived if shown.verdict == FINE => {
                // A short file is there before anybody falls: that shows nothing.
                let calm = if shown.incidents.is_empty() { NOBODY_FELL } else { "" };
                format!("{}: every byte arrived once, in order, both ways.{calm}", paint.good("Exact"))
            }
            End::Arrived if shown.exact => {
                let what =
                    if shown.gaps == (0, 0) && shown.garbled == 0 { "see above" } else { "doubts were announced" };
                format!("{}: every byte arrived, but {what}.", paint.bad("Not quite"))
            }
            End::Arrived => {
                let silent = shown.gaps == (0, 0);
                let told = if silent { ", and the program was not told" } else { "; gaps were announced" };
                format!("{}: bytes are missing, repeated or wrong{told}.", paint.bad("Not exact"))
            }
        }
    }

    pub(super) fn print_json(&self, shown: &Shown) {
        let way = |way: &Way, gaps: u64| {
            let exact = &way.exact;
            serde_json::json!({
                "sent": way.sent,
                "received": exact.arrived,
                "lost": exact.lost,
                "repeated": exact.repeated,
                "wrong": exact.wrong,
                "gaps_announced": gaps,
                "longest_pause_ns": way.longest_pause,
            })
        };
        let incidents: Vec<_> = shown
            .incidents
            .iter()
            .map(|incident| {
                serde_json::json!({
                    "number": incident.number,
                    "component": self.name_of(incident.component),
                    "epoch": incident.epoch,
                    "fault": incident.fault.to_string(),
                    "failed_at_ns": incident.failed_at,
                    "up_at_ns": incident.up_at,
                    "answered_at_ns": incident.answered_at,
                })
            })
            .collect();
        let states: serde_json::Map<String, serde_json::Value> = self
            .system
            .processes()
            .into_iter()
            .map(|found| (found.name, serde_json::json!({ "state": found.state, "epoch": found.epoch })))
            .collect();
        let swaps = Count::of(shown.incidents.iter());
        let result = serde_json::json!({
            "end": match shown.end {
                End::Arrived => "arrived",
                End::Stuck => "stuck",
                End::Circle => "circle",
                End::Ended => "ended",
                End::Stopped => "stopped",
            },
            "exact": shown.verdict == FINE,
            "clock": if self.clock == Clock::Real { "real" } else { "virtual" },
            "seed": self.arguments.seed,
            "baud": self.baud,
            "program_to_outside": way(&self.out, shown.gaps.0),
            "outside_to_program": way(&self.back, shown.gaps.1),
            "garbled": shown.garbled,
            "knocks": self.knocks,
            "swaps": { "stayed": swaps.stayed, "undone": swaps.undone, "open": swaps.open },
            "recovery_until_up_ns": shown.recovery.up.json(),
            "recovery_until_answer_ns": shown.recovery.answered.json(),
            "platform_time_ns": self.system.now(),
            "stalled_ns": self.system.stalled().as_nanos() as u64,
            "reboots": self.system.reboots(),
            "also": shown.also,
            "components": states,
            "incidents": incidents,
        });
        say!("{result:#}");
    }
}

/// What a run came to.
pub(super) struct Shown {
    pub(super) end: End,
    pub(super) verdict: i32,
    pub(super) exact: bool,
    pub(super) gaps: (u64, u64),
    pub(super) garbled: u64,
    pub(super) incidents: Vec<Incident>,
    pub(super) recovery: Recovery,
    pub(super) also: Vec<String>,
}

/// Median and worst of times, in nanoseconds from the moment at which the fault was noticed.
pub(super) struct Spread {
    pub(super) median: Option<u64>,
    pub(super) worst: Option<u64>,
    /// How many never came so far: they fell again before, or the run was over.
    pub(super) never: u64,
}

impl Spread {
    fn of(incidents: &[Incident], until: fn(&Incident) -> Option<u64>) -> Self {
        let times = incidents.iter().filter_map(|one| until(one).map(|at| at.saturating_sub(one.failed_at)));
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        let never = (incidents.len() - times.len()) as u64;
        Spread { median: times.get(times.len() / 2).copied(), worst: times.last().copied(), never }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "median": self.median, "worst": self.worst, "never": self.never })
    }
}

/// How long recoveries took.
pub(super) struct Recovery {
    pub(super) up: Spread,
    pub(super) answered: Spread,
}

impl Recovery {
    pub(super) fn of(incidents: &[Incident]) -> Self {
        let of = |until| Spread::of(incidents, until);
        Recovery { up: of(|incident| incident.up_at), answered: of(|incident| incident.answered_at) }
    }
}
