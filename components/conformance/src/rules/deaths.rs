//! R5: either side may die at any point and come back, and the rules still hold.

use koboshi_interface_kit::{Duration, Operation};
use koboshi_runtime::client::Outstanding;
use koboshi_runtime::time::until;
use koboshi_runtime::{Either, Fault, select, sleep};

use crate::Flaw;
use crate::probe::{Misdeed, Moment, Order, Request, Steps, Work, operation};
use crate::tester::{Bench, Ended, LONG, SOON, Trial, must, planned};
use crate::ticks::Tick;

/// How long the subject is slow, so that the tester can die meanwhile.
const SLOW: u16 = 30;

/// The requests of a trial behind a death of the tester: their numbers follow from their ids.
const fn request(id: u32) -> Request {
    Request { id, number: id ^ 0x5A5A }
}

pub(crate) async fn new_epoch_is_an_event(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::ExitLater(SLOW), Moment::AfterAnswering)).await?;
    let asked = bench.request();
    let answer = bench.ask(asked).await;
    let before = bench.server_epoch();
    let learnt = {
        let end = bench.probe.end();
        let changed = until(|| (end.server_epoch() != before).then_some(()));
        matches!(select(changed, sleep(LONG)).await, Either::First(()))
    };
    let status = bench.status().await?;
    bench.finish(&[Fault::Exit]).await?;
    must(answer == Ok(asked.answer()), "it was not answered")?;
    must(learnt, "its client was not rung")?;
    must(status.epoch == before.wrapping_add(1), "its new epoch is not the next one")
}

/// The tester's deaths in this trial are this one by plan.
fn died_by_plan(bench: &Bench) -> Trial {
    let deaths = bench.incidents(bench.setting.tester);
    planned(deaths.iter().map(|death| death.fault).eq([Fault::Exit]), "the tester's deaths were others")
}

pub(crate) async fn client_claims(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        bench.order(Order::once(Misdeed::Slow(SLOW), Moment::BeforeEffect)).await?;
        let (ask, put, act, work) = (bench.request(), bench.request(), bench.request(), bench.work(5));
        let first = bench.send::<operation::ask>(&ask, LONG)?;
        bench.send::<operation::put>(&put, LONG)?;
        bench.send::<operation::act>(&act, LONG)?;
        bench.send::<operation::emit>(&work, LONG)?;
        return bench.die([first, ask.id, 0, 0]);
    }
    let [first, id, ..] = bench.place.notes;
    let (ask, put, act, work) = (request(id), request(id + 1), request(id + 2), Work { id: id + 3, count: 5 });
    bench.is_act(act.id);
    let operations = [operation::ask::INDEX, operation::put::INDEX, operation::act::INDEX, operation::emit::INDEX];
    let own = (first..).zip(operations).map(|(position, operation)| Outstanding { position, operation, origin: 0 });
    let claimed = bench.probe.end().outstanding().eq(own);
    let answers = [
        bench.collect_answer(first, ask).await,
        bench.collect_answer(first + 1, put).await,
        bench.collect_answer(first + 2, act).await,
    ];
    let done = bench.collect::<Steps>(first + 3).await;
    bench.finish(&[]).await?;
    died_by_plan(bench)?;
    must(claimed, "it did not find what it had asked")?;
    must(answers == [ask, put, act].map(|asked| Ended::With(asked.answer())), "not all were answered")?;
    must(done == Ended::With(Steps(5)) && bench.diary.steps(work.id) == 5, "not all work was done")?;
    must([ask, put, act].iter().all(|asked| bench.diary.runs(asked.id) == (1, 0)), "one was not run once")
}

pub(crate) async fn client_cancels(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        bench.order(Order::once(Misdeed::Slow(SLOW), Moment::BeforeEffect)).await?;
        let (ask, put, act) = (bench.request(), bench.request(), bench.request());
        bench.send::<operation::ask>(&ask, LONG)?;
        // The first is taken before the rest is cancelled.
        sleep(Duration::from_millis(5)).await;
        bench.send::<operation::put>(&put, LONG)?;
        bench.send::<operation::act>(&act, LONG)?;
        return bench.die([ask.id, 0, 0, 0]);
    }
    let [id, ..] = bench.place.notes;
    bench.probe.end().cancel_all();
    let after = bench.request();
    let answer = bench.ask(after).await;
    bench.finish(&[]).await?;
    died_by_plan(bench)?;
    must(answer == Ok(after.answer()), "the next request was not answered")?;
    must(bench.diary.runs(id) == (1, 0), "what was in hand did not go on")?;
    must([id + 1, id + 2].iter().all(|id| bench.diary.runs(*id) == (0, 0)), "what was cancelled was run")
}

pub(crate) async fn reply_stays(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        let ask = bench.request();
        let position = bench.send::<operation::ask>(&ask, LONG)?;
        let came = bench.probe.end().reply_before(position, koboshi_runtime::now() + LONG).await.is_some();
        planned(came, "the reply did not come")?;
        if bench.setting.flaw == Flaw::ConsumesFirst {
            bench.probe.end().settle(position);
        }
        return bench.die([position, ask.id, 0, 0]);
    }
    let [position, id, ..] = bench.place.notes;
    let found = bench.probe.end().outstanding().map(|outstanding| outstanding.position).eq([position]);
    let answer = if found { bench.collect_answer(position, request(id)).await } else { Ended::Not };
    bench.finish(&[]).await?;
    died_by_plan(bench)?;
    must(found, "the next life did not find its request")?;
    must(answer == Ended::With(request(id).answer()), "the next life did not find its reply")?;
    must(bench.diary.runs(id) == (1, 0), "it was not run once")
}

pub(crate) async fn moved_once(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        let work = bench.work(8);
        // Nothing is read meanwhile.
        let done = bench.probe.fill(work).await;
        planned(done == Ok(Steps(8)), "an item was not filled")?;
        planned(matches!(bench.diary.ticks.peek(), Some(Ok(Tick::Filled(_)))), "the item is not there")?;
        if bench.setting.flaw == Flaw::ConsumesFirst {
            bench.diary.ticks.release();
        }
        bench.diary.ticks.set_moved(3);
        return bench.die([0; 4]);
    }
    let moved = bench.diary.ticks.moved();
    let there = matches!(bench.diary.ticks.peek(), Some(Ok(Tick::Filled(bytes))) if bytes.len() == 8);
    if there {
        bench.diary.ticks.release();
    }
    let next = bench.diary.ticks.moved();
    let nothing = bench.diary.ticks.peek().is_none();
    bench.finish(&[]).await?;
    died_by_plan(bench)?;
    must(there, "the item at hand was lost")?;
    must(moved == 3, "it is not known how much of it was moved")?;
    must(next == 0 && nothing, "more is known of the next item than there is")
}

pub(crate) async fn half_filled(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterEffect, skip: 4, times: 3 }).await?;
    let work = bench.work(20);
    let done = bench.fill(work).await;
    bench.finish(&[Fault::Panic; 3]).await?;
    must(done == Ok(Steps(20)), "it was not answered")?;
    let mut filled = bench.diary.filled();
    let exact = filled.next().is_some_and(|bytes| bytes.as_slice().iter().copied().eq(0..20));
    must(exact && filled.next().is_none(), "bytes were lost or repeated")
}

pub(crate) async fn both_die(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        let misdeed = Misdeed::ExitLater(SLOW);
        bench.order(Order { misdeed, moment: Moment::AfterEffect, skip: 2, times: 1 }).await?;
        let (work, put) = (bench.work(9), bench.request());
        let first = bench.send::<operation::emit>(&work, LONG)?;
        bench.send::<operation::put>(&put, LONG)?;
        return bench.die([first, work.id, 0, 0]);
    }
    let [first, id, ..] = bench.place.notes;
    let put = request(id + 1);
    let done = bench.collect::<Steps>(first).await;
    let answer = bench.collect_answer(first + 1, put).await;
    bench.finish(&[Fault::Exit]).await?;
    died_by_plan(bench)?;
    must(done == Ended::With(Steps(9)) && bench.diary.steps(id) == 9, "work was lost or repeated")?;
    must(answer == Ended::With(put.answer()), "the next request was not answered")
}

pub(crate) async fn manager_dies(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::ExitLater(5), Moment::AfterAnswering)).await?;
    let asked = bench.request();
    let answer = bench.ask(asked).await;
    let before = bench.control.end().server_epoch();
    // A false word, but it ends the manager by the same way as a true one.
    let nothing = u32::MAX;
    bench.control.end().blame(nothing, before);
    sleep(SOON).await;
    let work = bench.work(4);
    let done = bench.emit(work).await;
    let after = bench.control.end().server_epoch();
    let deaths = bench.incidents(bench.setting.manager);
    bench.finish(&[Fault::Exit]).await?;
    planned(deaths.iter().map(|death| death.fault).eq([Fault::BadMessage]), "the manager's deaths were others")?;
    must(after == before.wrapping_add(1), "the restart manager was not started again")?;
    must(answer == Ok(asked.answer()) && done == Ok(Steps(4)), "the subject was not started again")
}
