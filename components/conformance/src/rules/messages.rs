//! R4: a reader trusts nothing. What is wrong is its producer's fault, and harms nobody else.

use koboshi_interface_kit::{Failure, MayHaveHappened};
use koboshi_runtime::{Fault, Outcome, sleep};

use crate::forge;
use crate::probe::{Forgery, Misdeed, Moment, Order, Request, Steps, operation};
use crate::tester::{Bench, Ended, LONG, PROBE, SOON, TICKS, Trial, must, planned};

/// How long the subject is slow, so that the tester can spoil what it has not yet read.
const SLOW: u16 = 40;

pub(crate) async fn unreadable_reply(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Reply(Forgery::Payload), Moment::AfterEffect)).await?;
    let request = bench.request();
    let answer = bench.put(request).await;
    bench.finish(&[Fault::BadMessage]).await?;
    must(answer == Ok(request.answer()), "its request was not answered by the next life")?;
    must(bench.diary.runs(request.id) == (2, 1), "its request was not offered again")
}

pub(crate) async fn unreadable_reply_at_most_once(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Reply(Forgery::Payload), Moment::AfterEffect)).await?;
    let request = bench.request();
    let answer = bench.act(request).await;
    bench.finish(&[Fault::BadMessage]).await?;
    must(answer == Err(Failure::Interrupted(MayHaveHappened)), "it was not interrupted")?;
    must(bench.diary.runs(request.id) == (1, 0), "it was not done once")
}

pub(crate) async fn forged_reply(bench: &mut Bench) -> Trial {
    let forgeries = [Forgery::Epoch, Forgery::Length, Forgery::Sequence, Forgery::Outcome];
    let mut answered = true;
    for forgery in forgeries {
        bench.order(Order::once(Misdeed::Reply(forgery), Moment::AfterEffect)).await?;
        let request = bench.request();
        answered &= bench.ask(request).await == Ok(request.answer());
    }
    bench.finish(&[Fault::BadMessage; 4]).await?;
    must(answered, "a request was not answered by the next life")
}

/// Asks for something with others waiting behind it; whether all were answered.
async fn ask_in_a_row(bench: &mut Bench) -> Result<bool, crate::tester::Wrong> {
    let requests: [Request; 4] = core::array::from_fn(|_| bench.request());
    let mut positions = [0; 4];
    for (request, position) in requests.iter().zip(&mut positions) {
        *position = bench.send::<operation::ask>(request, LONG)?;
    }
    let mut all = true;
    for (request, position) in requests.iter().zip(positions) {
        all &= bench.collect_answer(position, *request).await == Ended::With(request.answer());
    }
    Ok(all)
}

pub(crate) async fn wild_server(bench: &mut Bench) -> Trial {
    bench.order(Order { misdeed: Misdeed::Positions, moment: Moment::AfterEffect, skip: 1, times: 1 }).await?;
    let all = ask_in_a_row(bench).await?;
    bench.finish(&[Fault::Exit]).await?;
    must(all, "a request was not answered")?;
    must(bench.deaths().iter().all(|death| death.seal.blamed), "nobody was blamed for it")
}

pub(crate) async fn answer_to_nothing(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Early, Moment::AfterEffect)).await?;
    let request = bench.request();
    let answer = bench.ask(request).await;
    // To one that was sent it would be an answer, if a false one.
    planned(bench.status().await?.left == 0, "it was not done as often as was ordered")?;
    let all = ask_in_a_row(bench).await?;
    bench.finish(&[Fault::Exit]).await?;
    must(answer == Ok(request.answer()) && all, "a request was not answered")?;
    must(bench.deaths().iter().all(|death| death.seal.blamed), "nobody was blamed for it")
}

async fn wrong_item(bench: &mut Bench, forgery: Forgery) -> Trial {
    bench.order(Order { misdeed: Misdeed::Item(forgery), moment: Moment::BeforeEffect, skip: 3, times: 1 }).await?;
    let work = bench.work(9);
    let done = bench.emit(work).await;
    bench.up().await?;
    bench.sound()?;
    planned(done == Ok(Steps(9)) && bench.diary.steps(work.id) == 9, "the stream did not go on behind it")
}

pub(crate) async fn unreadable_item(bench: &mut Bench) -> Trial {
    let went_on = wrong_item(bench, Forgery::Payload).await;
    bench.finish(&[Fault::BadMessage]).await?;
    must(went_on.is_ok(), "the stream did not go on behind it")?;
    must(bench.diary.undecodable() == 1, "its reader was not told")
}

pub(crate) async fn forged_item(bench: &mut Bench) -> Trial {
    let mut went_on = true;
    for forgery in [Forgery::Epoch, Forgery::Length, Forgery::Sequence] {
        went_on &= wrong_item(bench, forgery).await.is_ok();
    }
    bench.finish(&[Fault::BadMessage; 3]).await?;
    must(went_on, "the stream did not go on behind it")?;
    must(bench.diary.undecodable() == 3, "its reader was not told")
}

pub(crate) async fn unreadable_request(bench: &mut Bench) -> Trial {
    let mut refused = true;
    let deadline = koboshi_runtime::now() + LONG;
    for operation in [0, 1, 2, 4, 6, 31, 255] {
        let sent = bench.probe.end().send(operation, 0, deadline.as_ticks(), &[0xFF; 12]);
        let Some(position) = sent else {
            return planned(false, "there was no room for a request");
        };
        refused &= matches!(bench.collect::<()>(position).await, Ended::As(Outcome::Refused, _));
    }
    let request = bench.request();
    let answer = bench.ask(request).await;
    bench.finish(&[]).await?;
    must(refused, "one of them was not refused")?;
    must(answer == Ok(request.answer()), "the next one was not answered")
}

pub(crate) async fn forged_request(bench: &mut Bench) -> Trial {
    bench.order(Order::once(Misdeed::Slow(SLOW), Moment::BeforeEffect)).await?;
    let (first, last) = (bench.request(), bench.request());
    let first_at = bench.send::<operation::ask>(&first, LONG)?;
    let mut spoilt = [0; 3];
    for (position, forgery) in spoilt.iter_mut().zip([Forgery::Epoch, Forgery::Length, Forgery::Outcome]) {
        let request = bench.request();
        *position = bench.send::<operation::ask>(&request, LONG)?;
        forge::message(PROBE, *position, forgery);
    }
    let last_at = bench.send::<operation::ask>(&last, LONG)?;
    let first_done = bench.collect_answer(first_at, first).await;
    let mut refused = true;
    for position in spoilt {
        refused &= matches!(bench.collect::<()>(position).await, Ended::As(Outcome::Refused, _));
    }
    let last_done = bench.collect_answer(last_at, last).await;
    bench.finish(&[]).await?;
    must(refused, "one of them was not refused")?;
    must(first_done == Ended::With(first.answer()), "the one before them was not answered")?;
    must(last_done == Ended::With(last.answer()), "the one behind them was not answered")
}

/// The tester has died once in this trial, of this.
fn own_death(bench: &Bench, fault: Fault) -> Trial {
    let deaths = bench.incidents(bench.setting.tester);
    planned(deaths.iter().map(|death| death.fault).eq([fault]), "the tester's deaths were others")
}

/// The tester has ended itself once in this trial, and sealing has found its words wild.
fn own_wild_death(bench: &Bench) -> Trial {
    own_death(bench, Fault::Exit)?;
    must(bench.incidents(bench.setting.tester).iter().all(|death| death.seal.blamed), "nobody was blamed for it")
}

pub(crate) async fn request_out_of_turn(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        bench.next_stage([0; 4]);
        forge::message(PROBE, forge::next_request(PROBE), Forgery::Sequence);
        sleep(SOON).await;
        bench.finish(&[]).await?;
        return must(false, "its client was not ended");
    }
    let all = ask_in_a_row(bench).await?;
    bench.finish(&[]).await?;
    own_death(bench, Fault::BadMessage)?;
    must(all, "the client's next life was not served")
}

pub(crate) async fn wild_client(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        let dies = bench.die([0; 4]);
        forge::client_positions(PROBE);
        return dies;
    }
    let all = ask_in_a_row(bench).await?;
    bench.finish(&[]).await?;
    own_wild_death(bench)?;
    must(all, "the client's next life was not served")
}

pub(crate) async fn wild_consumer(bench: &mut Bench) -> Trial {
    if bench.place.stage == 0 {
        let dies = bench.die([0; 4]);
        forge::consumer_position(TICKS);
        return dies;
    }
    // It may be offered again what it has had: its own word for where it stood is worth nothing.
    bench.diary.read();
    bench.diary.forget();
    let work = bench.work(40);
    let done = bench.emit(work).await;
    bench.finish(&[]).await?;
    own_wild_death(bench)?;
    must(done == Ok(Steps(40)) && bench.diary.steps(work.id) == 40, "the stream did not go on")
}
