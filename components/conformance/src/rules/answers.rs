//! R1: a request is answered at most once, and one that was in hand at a death is treated as its contract says.

use koboshi_interface_kit::{Duration, Failure, MayHaveHappened};
use koboshi_runtime::Fault;

use crate::probe::{Misdeed, Moment, Order, Request, Steps, operation};
use crate::tester::{Bench, Ended, LONG, SOON, Trial, must};

/// Requests that are sent one behind the other.
const SOME: usize = 6;

/// Sends some `ask`s, and then collects their answers in the order in which they were sent.
async fn ask_some(bench: &mut Bench) -> Result<[(Request, bool); SOME], crate::tester::Wrong> {
    let requests = core::array::from_fn::<_, SOME, _>(|_| bench.request());
    let mut positions = [0; SOME];
    for (request, position) in requests.iter().zip(&mut positions) {
        *position = bench.send::<operation::ask>(request, LONG)?;
    }
    let mut outcomes = requests.map(|request| (request, false));
    for ((request, answered), position) in outcomes.iter_mut().zip(positions) {
        *answered = bench.collect_answer(position, *request).await == Ended::With(request.answer());
    }
    Ok(outcomes)
}

pub(crate) async fn each_request_gets_its_own(bench: &mut Bench) -> Trial {
    let asked = ask_some(bench).await?;
    let (put, act, work) = (bench.request(), bench.request(), bench.work(3));
    let put_done = bench.put(put).await;
    let act_done = bench.act(act).await;
    let work_done = bench.emit(work).await;
    bench.finish(&[]).await?;
    must(asked.iter().all(|(_, answered)| *answered), "a request was not answered")?;
    must(asked.iter().all(|(request, _)| bench.diary.runs(request.id) == (1, 0)), "a request was not run once")?;
    must(put_done == Ok(put.answer()) && act_done == Ok(act.answer()), "a call was not answered")?;
    must(bench.diary.runs(put.id) == (1, 0) && bench.diary.runs(act.id) == (1, 0), "a call was not run once")?;
    must(work_done == Ok(Steps(3)) && bench.diary.steps(work.id) == 3, "work was not done")
}

pub(crate) async fn twice_is_once(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Twice, Moment::AfterEffect)).await?;
    let (first, second) = (bench.request(), bench.request());
    let answers = [bench.ask(first).await, bench.ask(second).await];
    bench.finish(&[]).await?;
    must(answers == [Ok(first.answer()), Ok(second.answer())], "the second answer to one request was given")?;
    bench.order(Order { misdeed: Misdeed::Twice, moment: Moment::AfterEffect, skip: 1, times: 2 }).await?;
    let asked = ask_some(bench).await?;
    bench.finish(&[]).await?;
    must(asked.iter().all(|(_, answered)| *answered), "the second answer to one request was given to another")
}

pub(crate) async fn pure_in_hand(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Panic, Moment::BeforeEffect)).await?;
    let request = bench.request();
    let answer = bench.ask(request).await;
    bench.finish(&[Fault::Panic]).await?;
    must(answer == Ok(request.answer()), "it was not answered")?;
    must(bench.diary.runs(request.id) == (1, 1), "it was not offered again, or not as a replay")?;
    must(bench.deaths().iter().all(|death| death.seal.offered_again == 1), "its incident does not tell of it")
}

pub(crate) async fn idempotent_in_hand(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Panic, Moment::AfterEffect)).await?;
    let request = bench.request();
    let answer = bench.put(request).await;
    let status = bench.status().await?;
    bench.finish(&[Fault::Panic]).await?;
    must(answer == Ok(request.answer()), "it was not answered")?;
    must(bench.diary.runs(request.id) == (2, 1), "it was not run again, or not as a replay")?;
    must(status.value == request.number, "it has no effect")
}

pub(crate) async fn resumable_goes_on(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterEffect, skip: 3, times: 1 }).await?;
    let work = bench.work(9);
    let done = bench.emit(work).await;
    bench.finish(&[Fault::Panic]).await?;
    must(done == Ok(Steps(9)), "it was not answered")?;
    must(bench.diary.steps(work.id) == 9, "a step is missing")
}

pub(crate) async fn resumable_outlives_deaths(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterEffect, skip: 1, times: 6 }).await?;
    let work = bench.work(9);
    let done = bench.emit(work).await;
    bench.finish(&[Fault::Panic; 6]).await?;
    must(done == Ok(Steps(9)), "it was not answered, although each life made a step")?;
    must(bench.diary.steps(work.id) == 9, "a step is missing")
}

async fn at_most_once(bench: &mut Bench, moment: Moment, runs: usize) -> Trial {
    bench.order(Order::once(Misdeed::Panic, moment)).await?;
    let request = bench.request();
    let answer = bench.act(request).await;
    // Were it offered again, it would be by now.
    let other = bench.request();
    let after = bench.act(other).await;
    bench.finish(&[Fault::Panic]).await?;
    must(answer == Err(Failure::Interrupted(MayHaveHappened)), "it was not interrupted")?;
    must(bench.diary.runs(request.id) == (runs, 0), "it was done otherwise than once, or not at all")?;
    must(after == Ok(other.answer()), "the next one was not answered")?;
    must(bench.deaths().iter().all(|death| death.seal.interrupted == 1), "its incident does not tell of it")
}

pub(crate) async fn at_most_once_not_yet_done(bench: &mut Bench) -> Trial {
    at_most_once(bench, Moment::BeforeEffect, 0).await
}

pub(crate) async fn at_most_once_already_done(bench: &mut Bench) -> Trial {
    at_most_once(bench, Moment::AfterEffect, 1).await
}

pub(crate) async fn answered_is_over(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterAnswering, skip: 0, times: 2 }).await?;
    let (put, act) = (bench.request(), bench.request());
    let put_done = bench.put(put).await;
    let act_done = bench.act(act).await;
    bench.finish(&[Fault::Panic; 2]).await?;
    must(put_done == Ok(put.answer()) && act_done == Ok(act.answer()), "an answer was lost with its server")?;
    must(bench.diary.runs(put.id) == (1, 0) && bench.diary.runs(act.id) == (1, 0), "it was run once more")
}

pub(crate) async fn not_taken_is_no_replay(bench: &mut Bench) -> Trial {
    let order = Order::once(Misdeed::Panic, Moment::BeforeTaking);
    let told = bench.send::<operation::order>(&order, LONG)?;
    let asked = ask_some(bench).await?;
    let told = bench.collect::<()>(told).await;
    bench.finish(&[Fault::Panic]).await?;
    must(told == Ended::With(()), "an answer was lost with its server")?;
    must(asked.iter().all(|(_, answered)| *answered), "a request that was not taken was not answered")?;
    must(asked.iter().all(|(request, _)| bench.diary.runs(request.id) == (1, 0)), "it was run as a replay, or twice")
}

pub(crate) async fn two_deaths_poison(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::BeforeEffect, skip: 0, times: 2 }).await?;
    let (request, other) = (bench.request(), bench.request());
    let answer = bench.ask(request).await;
    let after = bench.ask(other).await;
    bench.finish(&[Fault::Panic; 2]).await?;
    must(answer == Err(Failure::Poisoned { progress: 0 }), "it was not poisoned")?;
    must(bench.diary.runs(request.id) == (0, 0), "it was offered a third time")?;
    must(after == Ok(other.answer()), "the next one was not answered")?;
    must(bench.deaths().last().is_some_and(|death| death.seal.poisoned == 1), "its incident does not tell of it")
}

pub(crate) async fn poisoned_says_how_far(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::BeforeEffect, skip: 3, times: 2 }).await?;
    let work = bench.work(8);
    let done = bench.emit(work).await;
    bench.finish(&[Fault::Panic; 2]).await?;
    must(done == Err(Failure::Poisoned { progress: 3 }), "it was not poisoned with its progress")?;
    must(bench.diary.steps(work.id) == 3, "other steps were made than it says")
}

pub(crate) async fn two_requests_poison_neither(bench: &mut Bench) -> Trial {
    let (first, second) = (bench.request(), bench.request());
    bench.order(Order::once(Misdeed::Panic, Moment::BeforeEffect)).await?;
    let first_done = bench.ask(first).await;
    koboshi_runtime::sleep(Duration::from_millis(1)).await;
    bench.order(Order::once(Misdeed::Panic, Moment::BeforeEffect)).await?;
    let second_done = bench.ask(second).await;
    let within = bench.diary.beside(bench.probe.within(SOON).status(())).await.is_ok();
    bench.finish(&[Fault::Panic; 2]).await?;
    must(first_done == Ok(first.answer()) && second_done == Ok(second.answer()), "one of them was not answered")?;
    must(within, "the subject did not come back")
}
