//! R3: deadlines, tickets and cancelling.

use koboshi_interface_kit::{Duration, Failure, MayHaveHappened, Operation, StillComing, Ticket};
use koboshi_runtime::{Fault, sleep};

use crate::probe::{Misdeed, Moment, Order, Steps, operation};
use crate::subject::HASTY;
use crate::tester::{Bench, Ended, LONG, Trial, must, planned};

/// Longer than [`HASTE`], shorter than any deadline that is to be kept.
const SLOW: u16 = 40;

/// A deadline that a slow subject misses.
const HASTE: Duration = Duration::from_millis(10);

/// The ticket of a call that was late.
fn ticket_of<O: Operation>(result: Result<O::Reply, Failure<O>>) -> Option<Ticket<O>> {
    match result {
        Err(Failure::Late { ticket, .. }) => Some(ticket),
        _ => None,
    }
}

pub(crate) async fn deadline_ends_the_wait(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Slow(SLOW), Moment::BeforeEffect)).await?;
    let request = bench.request();
    let late = bench.diary.beside(bench.probe.within(HASTE).put(request)).await;
    let means = matches!(late, Err(Failure::Late { means: StillComing, .. }));
    let Some(ticket) = ticket_of(late) else {
        bench.finish(&[]).await?;
        return must(false, "it was not late");
    };
    let answer = bench.diary.beside(bench.probe.wait(ticket)).await;
    bench.finish(&[]).await?;
    must(means, "it does not say that the answer is still to come")?;
    must(answer == Ok(request.answer()), "the ticket does not lead to the answer")?;
    must(bench.diary.runs(request.id) == (1, 0), "it was not run once")
}

pub(crate) async fn late_may_have_happened(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Slow(SLOW), Moment::AfterEffect)).await?;
    let request = bench.request();
    bench.is_act(request.id);
    let late = bench.diary.beside(bench.probe.within(HASTE).act(request)).await;
    let means = matches!(late, Err(Failure::Late { means: MayHaveHappened, .. }));
    let happened = bench.diary.runs(request.id).0 == 1;
    let Some(ticket) = ticket_of(late) else {
        bench.finish(&[]).await?;
        return must(false, "it was not late");
    };
    let answer = bench.diary.beside(bench.probe.wait(ticket)).await;
    bench.finish(&[]).await?;
    must(means && happened, "it does not say that it may have happened")?;
    must(answer == Ok(request.answer()), "the ticket does not lead to the answer")?;
    must(bench.diary.runs(request.id) == (1, 0), "it was not run once")
}

pub(crate) async fn expired_is_not_replayed(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::ExitLater(SLOW), moment: Moment::BeforeEffect, skip: 3, times: 1 }).await?;
    let work = bench.work(8);
    let late = bench.diary.beside(bench.probe.within(HASTE).emit(work)).await;
    let Some(ticket) = ticket_of(late) else {
        bench.finish(&[Fault::Exit]).await?;
        return must(false, "it was not late");
    };
    let end = bench.diary.beside(bench.probe.wait(ticket)).await;
    bench.finish(&[Fault::Exit]).await?;
    must(end == Err(Failure::Expired { progress: 3 }), "it did not expire with its progress")?;
    must(bench.diary.steps(work.id) == 3, "it went on behind its deadline")
}

pub(crate) async fn cancelled_is_not_run(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Slow(SLOW), Moment::BeforeEffect)).await?;
    let (first, second, third) = (bench.request(), bench.request(), bench.request());
    let first_at = bench.send::<operation::ask>(&first, LONG)?;
    let second_at = bench.send::<operation::put>(&second, LONG)?;
    let third_at = bench.send::<operation::ask>(&third, LONG)?;
    sleep(HASTE).await;
    bench.probe.end().cancel(second_at);
    let first_done = bench.collect_answer(first_at, first).await;
    let third_done = bench.collect_answer(third_at, third).await;
    bench.finish(&[]).await?;
    must(first_done == Ended::With(first.answer()), "the one before it was not answered")?;
    must(third_done == Ended::With(third.answer()), "the one after it was not answered")?;
    must(bench.diary.runs(second.id) == (0, 0), "it was run")
}

pub(crate) async fn expired_send(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Slow(SLOW), Moment::BeforeEffect)).await?;
    let mut room = 0;
    while bench.probe.end().has_room() && room < 64 {
        let request = bench.request();
        bench.send::<operation::ask>(&request, LONG)?;
        room += 1;
    }
    let request = bench.request();
    let sent = bench.diary.beside(bench.probe.within(HASTE).ask(request)).await;
    bench.probe.end().cancel_all();
    bench.finish(&[]).await?;
    planned(room > 0, "there was no room to begin with")?;
    must(sent == Err(Failure::NotSent), "it does not say that nothing was sent")?;
    must(bench.diary.runs(request.id) == (0, 0), "it was sent")
}

pub(crate) async fn expired_item(bench: &mut Bench) -> Trial {
    let full = bench.setting.ticks_slots;
    let misdeed = Misdeed::Hasty(5);
    bench.order(Order { misdeed, moment: Moment::BeforeEffect, skip: full, times: 1 }).await?;
    let count = u32::from(full) + 4;
    let work = bench.work(count);
    let position = bench.send::<operation::emit>(&work, LONG)?;
    // Nothing is read meanwhile.
    sleep(HASTE + HASTE).await;
    let done = bench.collect::<Steps>(position).await;
    bench.finish(&[]).await?;
    must(done == Ended::With(Steps(count)), "its publisher did not go on")?;
    must(bench.diary.steps(work.id) == count as usize, "another item was lost with it")?;
    must(bench.diary.runs(HASTY) == (0, 0), "it was published")
}

pub(crate) async fn no_deadline_for_work(bench: &mut Bench) -> Trial {
    sleep(Duration::from_millis(500)).await;
    let request = bench.request();
    let answer = bench.ask(request).await;
    bench.finish(&[]).await?;
    must(answer == Ok(request.answer()), "it was not answered")
}
