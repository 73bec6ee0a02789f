//! R2: order is kept, nothing is dropped or repeated in silence, and who finds no room waits.

use koboshi_interface_kit::Duration;
use koboshi_runtime::{Either, Fault, select, sleep};

use crate::probe::{Misdeed, Moment, Order, Request, Steps, operation};
use crate::tester::{Bench, Ended, LONG, Trial, Wrong, must};

/// More than a ring of `ticks` has slots, in any image of this suite.
const MANY: u32 = 40;

/// Requests that are sent one behind the other; fewer than a ring of `probe` has slots.
const SOME: usize = 6;

/// Sends some `put`s at once; whether all were answered, each with its own answer.
async fn put_some(bench: &mut Bench, requests: &[Request; SOME]) -> Result<bool, Wrong> {
    let mut positions = [0; SOME];
    for (request, position) in requests.iter().zip(&mut positions) {
        *position = bench.send::<operation::put>(request, LONG)?;
    }
    let mut all = true;
    for (request, position) in requests.iter().zip(positions) {
        all &= bench.collect_answer(position, *request).await == Ended::With(request.answer());
    }
    Ok(all)
}

fn ran_in_order(bench: &Bench, requests: &[Request]) -> bool {
    let ran = bench.diary.ran_first().filter(|id| requests.iter().any(|request| request.id == *id));
    ran.eq(requests.iter().map(|request| request.id))
}

pub(crate) async fn answers_come_in_order(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Backwards, Moment::AfterEffect)).await?;
    let (first, second) = (bench.request(), bench.request());
    let positions = [bench.send::<operation::ask>(&first, LONG)?, bench.send::<operation::ask>(&second, LONG)?];
    let answers = [bench.collect_answer(positions[0], first).await, bench.collect_answer(positions[1], second).await];
    bench.finish(&[]).await?;
    must(answers == [Ended::With(first.answer()), Ended::With(second.answer())], "an answer overtook another one")
}

pub(crate) async fn kept_across_deaths(bench: &mut Bench) -> Trial {
    let requests = core::array::from_fn::<_, SOME, _>(|_| bench.request());
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterAnswering, skip: 1, times: 3 }).await?;
    let all = put_some(bench, &requests).await?;
    bench.finish(&[Fault::Panic; 3]).await?;
    must(all, "a request was not answered")?;
    must(ran_in_order(bench, &requests), "requests were run in another order than sent")?;

    let requests = core::array::from_fn::<_, SOME, _>(|_| bench.request());
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterEffect, skip: 2, times: 1 }).await?;
    let all = put_some(bench, &requests).await?;
    bench.finish(&[Fault::Panic; 4]).await?;
    must(all, "a request was not answered")?;
    must(ran_in_order(bench, &requests), "a replay changed the order")
}

pub(crate) async fn stream_is_exact(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Panic, moment: Moment::AfterEffect, skip: 9, times: 3 }).await?;
    let work = bench.work(MANY);
    let done = bench.emit(work).await;
    bench.finish(&[Fault::Panic; 3]).await?;
    must(done == Ok(Steps(MANY)), "it was not answered")?;
    must(bench.diary.steps(work.id) == MANY as usize, "an item was lost")
}

pub(crate) async fn full_stream(bench: &mut Bench) -> Trial {
    let work = bench.work(MANY);
    let position = bench.send::<operation::emit>(&work, LONG)?;
    // Nothing is read meanwhile.
    sleep(Duration::from_millis(20)).await;
    let early = bench.probe.end().reply(position).is_some();
    let done = bench.collect::<Steps>(position).await;
    bench.finish(&[]).await?;
    must(!early, "its publisher did not wait for room")?;
    must(done == Ended::With(Steps(MANY)), "it was not answered")?;
    must(bench.diary.steps(work.id) == MANY as usize, "an item was lost")
}

pub(crate) async fn full_ring(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Slow(40), Moment::BeforeEffect)).await?;
    let mut sent = heapless::Vec::<(Request, u32), 64>::new();
    while bench.probe.end().has_room() && !sent.is_full() {
        let request = bench.request();
        let position = bench.send::<operation::ask>(&request, LONG)?;
        // Asked above.
        let _ = sent.push((request, position));
    }
    let waits = select(bench.probe.end().room(), sleep(Duration::from_millis(5))).await;
    let waited = matches!(waits, Either::Second(()));
    // The first one is answered and let go of, so that there is room.
    let late = bench.request();
    let (first, rest) = match sent.split_first() {
        Some(((request, position), rest)) => (bench.collect_answer(*position, *request).await, rest),
        None => (Ended::Not, sent.as_slice()),
    };
    let mut all = matches!(first, Ended::With(_));
    let late_at = bench.send::<operation::ask>(&late, LONG);
    for (request, position) in rest {
        all &= bench.collect_answer(*position, *request).await == Ended::With(request.answer());
    }
    let later = bench.collect_answer(late_at?, late).await;
    bench.finish(&[]).await?;
    must(waited, "there was room in a full ring")?;
    must(later == Ended::With(late.answer()), "who waited for room was not served")?;
    must(all, "a request in a full ring was not answered")?;
    must(sent.iter().all(|(request, _)| bench.diary.runs(request.id).0 == 1), "a request was not run once")
}
