//! R6, and what can be seen of a component's life.

use core::fmt::Write;

use koboshi_interface_kit::{Duration, Failure};
use koboshi_interfaces::control::{Denied, Incarnation};
use koboshi_interfaces::health;
use koboshi_runtime::{Fault, Outcome, State, log, now, sleep};

use crate::probe::{Begun, Misdeed, Moment, Order, Steps, operation};
use crate::tester::{Bench, Ended, LONG, SOON, Trial, must, planned};

/// A hang is noticed, and its component is back, within this and what the image allows.
const NOTICED_WITHIN: Duration = Duration::from_millis(100);

pub(crate) async fn hang_is_noticed(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Hang, Moment::BeforeEffect)).await?;
    let request = bench.request();
    let began = now();
    let answer = bench.ask(request).await;
    let took = now() - began;
    bench.finish(&[Fault::Stuck]).await?;
    let number = bench.deaths().first().map_or(u32::MAX, |death| death.number);
    let shown = bench.diary.beside(bench.health.incidents(number)).await;
    let subject = bench.subject();
    let held = bench.diary.beside(bench.health.registers(subject)).await;
    let (place, held) = (shown.ok().flatten().and_then(|incident| incident.at), held.ok().flatten());
    must(place.is_some() == held.is_some(), "where it was is known, and its registers are not")?;
    if let (Some(place), Some(held)) = (place, held) {
        // Whoever has built the image knows which line that is.
        let mut line = heapless::String::<64>::new();
        let _cut = write!(line, "epoch {} hung at {:#x}", held.epoch, place.pc);
        log(&line);
    }
    let allowed = NOTICED_WITHIN + Duration::from_micros(bench.setting.respond_within_us.into());
    must(answer == Ok(request.answer()), "what was in hand was not answered")?;
    must(bench.diary.runs(request.id) == (1, 1), "what was in hand was not offered again")?;
    must(took <= allowed, "it was noticed late")
}

pub(crate) async fn busy_is_not_stuck(bench: &mut Bench) -> Trial {
    let milliseconds = 20 + (bench.setting.respond_within_us / 500).min(400) as u16;
    bench.order(Order::once(Misdeed::Slow(milliseconds), Moment::BeforeEffect)).await?;
    let (first, second) = (bench.request(), bench.request());
    let positions = [bench.send::<operation::ask>(&first, LONG)?, bench.send::<operation::put>(&second, LONG)?];
    let answers = [bench.collect_answer(positions[0], first).await, bench.collect_answer(positions[1], second).await];
    bench.finish(&[]).await?;
    must(answers == [first, second].map(|asked| Ended::With(asked.answer())), "it was not left in peace")
}

pub(crate) async fn late_is_mended(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Never, Moment::BeforeEffect)).await?;
    let request = bench.request();
    let position = bench.send::<operation::put>(&request, LONG)?;
    sleep(SOON).await;
    let waits = bench.deaths().is_empty() && bench.probe.end().reply(position).is_none();
    bench.report_late().await?;
    let answer = bench.collect_answer(position, request).await;
    // About a life that is over, and was reported before: nothing happens.
    let Incarnation { component, epoch } = bench.incarnation();
    let over = Incarnation { component, epoch: epoch.wrapping_sub(1) };
    let told = bench.diary.beside(bench.control.restart(over)).await;
    bench.finish(&[Fault::Late]).await?;
    must(waits, "who only waits was ended, or answered")?;
    must(answer == Ended::With(request.answer()), "what was in hand was not answered by the next life")?;
    must(told == Ok(Ok(())), "a report on a life that is over was not taken")
}

pub(crate) async fn every_end_has_its_name(bench: &mut Bench) -> Trial {
    let mut all = true;
    for misdeed in [Misdeed::Exit, Misdeed::Panic] {
        bench.order(Order::once(misdeed, Moment::BeforeEffect)).await?;
        let request = bench.request();
        all &= bench.ask(request).await == Ok(request.answer());
    }
    bench.restart().await?;
    bench.up().await?;
    let first = bench.deaths().first().map_or(u32::MAX, |death| death.number);
    let panic = bench.deaths().iter().find(|death| death.fault == Fault::Panic).map_or(u32::MAX, |death| death.number);
    let shown = bench.diary.beside(bench.health.incidents(first)).await;
    let panicked = bench.diary.beside(bench.health.incidents(panic)).await;
    let subject = bench.subject();
    let health = bench.diary.beside(bench.health.states(subject)).await;
    let epoch = bench.server_epoch();
    bench.finish(&[Fault::Exit, Fault::Panic, Fault::Told]).await?;
    must(all, "what was in hand was not answered")?;
    must(bench.facts().is_some_and(|facts| facts.fault == Some(Fault::Told)), "its last end has another name")?;
    must(bench.deaths().iter().all(|death| death.up_at >= Some(death.failed_at)), "an incident has no end")?;
    let shows = |incident: health::Incident| incident.sequence == first && incident.fault == health::Fault::Exit;
    must(matches!(shown, Ok(Some(incident)) if shows(incident)), "`health` does not show the incident")?;
    let place = panicked.ok().flatten().and_then(|incident| incident.at);
    let is_there = |at: health::Place| at.file.as_str().ends_with("/subject.rs") && at.line > 0;
    must(place.is_some_and(is_there), "`health` does not show where it panicked")?;
    let well = |health: health::Health| health.state == health::State::Running && health.epoch == epoch;
    must(matches!(health, Ok(Ok(health)) if well(health)), "`health` does not show how it is")
}

pub(crate) async fn epochs_grow_by_one(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterAnswering, skip: 0, times: 3 }).await?;
    let mut lives = [0; 4];
    for life in &mut lives {
        let request = bench.request();
        let answered = bench.ask(request).await.is_ok();
        *life = bench.status().await?.epoch;
        planned(answered, "it was not answered")?;
    }
    let before = bench.place.before;
    bench.finish(&[Fault::Panic; 3]).await?;
    let epochs = (before..).take(3);
    must(bench.deaths().iter().map(|death| death.epoch).eq(epochs), "an epoch was used twice, or left out")?;
    must(lives == [1, 2, 3, 3].map(|later| before + later), "a life does not know its epoch")
}

pub(crate) async fn memory_is_reset(bench: &mut Bench) -> Trial {
    let request = bench.request();
    let put = bench.put(request).await;
    bench.status().await?;
    let asked = bench.status().await?.asked;
    bench.order(Order::once(Misdeed::Panic, Moment::AfterAnswering)).await?;
    let other = bench.request();
    let asked_last = bench.ask(other).await;
    let status = bench.status().await?;
    bench.finish(&[Fault::Panic]).await?;
    must(put == Ok(request.answer()) && asked_last == Ok(other.answer()), "it was not answered")?;
    must(asked > 0 && status.asked == 0, "a life remembers the one before it")?;
    must(status.value == request.number, "kept state was lost")?;
    must(status.begun == Begun::Recovered, "it does not know that it recovers")
}

pub(crate) async fn stopped_is_gone(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Never, moment: Moment::BeforeEffect, skip: 2, times: 1 }).await?;
    let (work, waiting) = (bench.work(6), bench.request());
    let work_at = bench.send::<operation::emit>(&work, LONG)?;
    let waiting_at = bench.send::<operation::ask>(&waiting, LONG)?;
    bench.diary.beside(sleep(Duration::from_millis(10))).await;
    bench.stop_subject().await?;
    let ends = [bench.collect::<Steps>(work_at).await, bench.collect::<Steps>(waiting_at).await];
    let stopped = bench.state();
    let request = bench.request();
    let answer = bench.ask(request).await;
    sleep(SOON).await;
    let still = bench.state();
    bench.start_subject().await?;
    let status = bench.status().await?;
    let again = bench.request();
    let after = bench.ask(again).await;
    bench.sound()?;
    planned(bench.deaths().is_empty() && status.left == 0, "the subject died unasked")?;
    must(
        ends == [Ended::As(Outcome::Gone, 2), Ended::As(Outcome::Gone, 0)],
        "what was outstanding did not end as gone",
    )?;
    must(bench.diary.steps(work.id) == 2, "other steps were made than it says")?;
    must([stopped, still] == [Some(State::Stopped); 2], "it did not stay stopped")?;
    must(matches!(answer, Err(Failure::Gone { .. })), "who asks is not told that it is gone")?;
    must(status.begun == Begun::Fresh && status.epoch == bench.place.before + 1, "it did not begin a new life")?;
    must(after == Ok(again.answer()), "it does not serve after it was started")
}

pub(crate) async fn given_up(bench: &mut Bench) -> Trial {
    let times = bench.setting.intensity.saturating_add(1);
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::Begin, skip: 0, times }).await?;
    bench.restart().await?;
    let end = now() + LONG;
    while bench.state() != Some(State::GivenUp) && now() < end {
        sleep(Duration::from_millis(1)).await;
    }
    let state = bench.state();
    let request = bench.request();
    let answer = bench.ask(request).await;
    let life = bench.incarnation();
    let told = bench.diary.beside(bench.control.restart(life)).await;
    bench.start_subject().await?;
    let status = bench.status().await?;
    let again = bench.request();
    let after = bench.ask(again).await;
    bench.sound()?;
    let deaths = bench.deaths();
    let faults = core::iter::once(Fault::Told).chain(core::iter::repeat_n(Fault::Panic, times.into()));
    planned(deaths.iter().map(|death| death.fault).eq(faults) && status.left == 0, "its deaths were others")?;
    must(state == Some(State::GivenUp), "it was not given up")?;
    must(matches!(answer, Err(Failure::Gone { .. })), "who asks is not told that it is gone")?;
    must(told == Ok(Err(Denied::GivenUp)), "it could be restarted")?;
    must(status.begun == Begun::Fresh, "it did not begin a new life")?;
    must(after == Ok(again.answer()), "it does not serve after it was started")
}
