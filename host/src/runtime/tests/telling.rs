//! Messages to the agent: the outbox, its claims on a clock that the test moves, and its races.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::bench::{Bench, Script, key, log, request, script, settle, success, wait_for};
use crate::model::event::{Event, EventBody};
use crate::model::limits::LimitsRequest;
use crate::model::outbox::{AgentMessage, Delivery, MessageFilter, OutboxLimits, Settlement};
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::handle::TaskHandle;
use crate::runtime::outbox::{AckAnswer, OutboxDesk};
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);

async fn tell(link: &CellLink, message: &str, once: Option<&str>) -> String {
    let (message, once) = (message.to_owned(), once.map(key));
    match link.request(|reply| GuestCall::MessageAgent { message, trigger: false, once, reply }).await {
        Ok(delivery) => format!("{delivery:?}"),
        Err(refusal) => format!("{}: {}", refusal.kind.word(), refusal.message),
    }
}

/// Sends these, and then waits to be let go.
fn teller(messages: &'static [&'static str]) -> Script {
    script(move |link| async move {
        let mut told = Vec::new();
        for message in messages {
            told.push(tell(&link, message, None).await);
        }
        wait_for(&link, "go", None).await;
        success(json!(told.join(", ")))
    })
}

async fn let_go(task: &TaskHandle) -> String {
    task.notify(key("go"), None, Party::Host).await;
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = &outcome else { panic!("{outcome:?}") };
    data.as_str().unwrap().to_owned()
}

fn settled(events: &[Event]) -> Vec<(u64, Settlement)> {
    let settled = |event: &Event| {
        let EventBody::MessageSettled { number, how } = event.body else { return None };
        Some((number, how))
    };
    events.iter().filter_map(settled).collect()
}

#[tokio::test]
async fn r25_a_message_is_claimed_acknowledged_and_then_gone() {
    let bench = Bench::new(teller(&["one", "two"]));
    let mut asked = request();
    asked.details.session = Some("s1".to_owned());
    let task = bench.inner.start(asked).await.unwrap();
    settle().await;
    let messages = bench.inner.messages();
    assert_eq!(messages.claim(&MessageFilter::session("another"), 9, SECOND), []);
    let mine = MessageFilter::session("s1");
    let claimed = messages.claim(&mine, 9, SECOND);
    let told: Vec<_> = claimed.iter().map(|claimed| (claimed.message.number, &*claimed.message.message)).collect();
    assert_eq!(told, [(1, "one"), (2, "two")]);
    assert_eq!((claimed[0].message.id, claimed[0].message.session.as_deref()), (task.id(), Some("s1")));
    assert_eq!(messages.ack(claimed[1].token).await, AckAnswer::Acknowledged);
    assert_eq!(messages.ack(claimed[1].token).await, AckAnswer::Stale);
    assert!(messages.release(claimed[0].token));
    let again = messages.claim(&mine, 9, SECOND);
    assert_eq!((again.len(), again[0].claims, &again[0].message), (1, 2, &claimed[0].message));
    assert_eq!(messages.ack(claimed[0].token).await, AckAnswer::Stale, "it was claimed again");
    assert_eq!(messages.ack(again[0].token).await, AckAnswer::Acknowledged);
    assert_eq!((messages.open(&mine), messages.claim(&mine, 9, SECOND)), (0, vec![]));
    assert_eq!(let_go(&task).await, "Queued, Queued");
    let settled = settled(&log(&task).await);
    assert_eq!(settled, [(2, Settlement::Acknowledged), (1, Settlement::Acknowledged)]);
}

#[tokio::test]
async fn r25_what_is_not_acknowledged_in_time_comes_again_and_wakes_whoever_waits() {
    let bench = Bench::new(teller(&["one"]));
    let messages = bench.inner.messages();
    let all = MessageFilter::default();
    let second = {
        let (messages, all) = (messages.clone(), all.clone());
        let mut first = JoinSet::new();
        first.spawn(async move { messages.next(&all, 1, 10 * SECOND).await });
        settle().await;
        assert!(first.try_join_next().is_none(), "there is none yet");
        bench.start().await;
        let first = first.join_next().await.unwrap().unwrap();
        assert_eq!(first[0].message.message, "one");
        let messages = bench.inner.messages();
        let mut second = JoinSet::new();
        second.spawn(async move { messages.next(&MessageFilter::default(), 1, 10 * SECOND).await });
        bench.advance(Duration::from_millis(9999)).await;
        assert!(second.try_join_next().is_none());
        bench.advance(Duration::from_millis(1)).await;
        second.join_next().await.unwrap().unwrap()
    };
    assert_eq!((second[0].message.number, second[0].claims), (1, 2));
    assert_eq!(messages.ack(second[0].token).await, AckAnswer::Acknowledged);
    bench.advance(Duration::from_mins(1)).await;
    assert_eq!(messages.claim(&all, 1, SECOND), []);
}

#[tokio::test]
async fn r25_whoever_waits_is_let_go_when_the_host_ends() {
    let bench = Bench::new(teller(&[]));
    let messages = bench.inner.messages();
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { messages.next(&MessageFilter::default(), 1, SECOND).await });
    settle().await;
    bench.inner.stop_everything();
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), []);
}

#[tokio::test]
async fn r25_messages_outlive_their_task_and_are_acknowledged_beside_its_log() {
    let bench = Bench::new(teller(&["one", "two"]));
    let task = bench.start().await;
    let messages = bench.inner.messages();
    settle().await;
    let first = messages.claim(&MessageFilter::default(), 1, SECOND);
    let_go(&task).await;
    task.gone().await;
    assert_eq!(messages.ack(first[0].token).await, AckAnswer::Acknowledged);
    let rest = messages.claim(&MessageFilter::task(task.id()), 9, SECOND);
    assert_eq!(rest[0].message.message, "two");
    assert_eq!(messages.ack(rest[0].token).await, AckAnswer::Acknowledged);
    assert_eq!(settled(&log(&task).await), []);
    let after = task.after_events().await.unwrap();
    assert_eq!(settled(&after), [(1, Settlement::Acknowledged), (2, Settlement::Acknowledged)]);
}

#[tokio::test]
async fn r25_an_acknowledgement_and_the_tasks_end_meet_in_either_order() {
    for ack_first in [true, false] {
        let bench = Bench::new(teller(&["one"]));
        let task = bench.start().await;
        settle().await;
        let messages = bench.inner.messages();
        let claimed = messages.claim(&MessageFilter::default(), 1, SECOND);
        let force = || task.cancel(CancelRequest::force(Party::Host, ""));
        let answer = if ack_first {
            let (answer, _) = tokio::join!(messages.ack(claimed[0].token), force());
            answer
        } else {
            let (_, answer) = tokio::join!(force(), messages.ack(claimed[0].token));
            answer
        };
        assert_eq!(answer, AckAnswer::Acknowledged);
        let both = settled(&log(&task).await).len() + settled(&task.after_events().await.unwrap()).len();
        assert_eq!((both, messages.open(&MessageFilter::default())), (1, 0), "once, here or there");
    }
}

#[tokio::test]
async fn r25_an_acknowledgement_and_the_end_of_the_claim_meet_in_either_order() {
    for ack_first in [true, false] {
        let bench = Bench::new(teller(&["one"]));
        bench.start().await;
        settle().await;
        let messages = bench.inner.messages();
        let all = MessageFilter::default();
        let first = messages.claim(&all, 1, SECOND);
        bench.advance(SECOND).await;
        if ack_first {
            assert_eq!(messages.ack(first[0].token).await, AckAnswer::Acknowledged, "nobody has it yet");
            assert_eq!(messages.claim(&all, 1, SECOND), []);
        } else {
            let second = messages.claim(&all, 1, SECOND);
            assert_eq!(messages.ack(first[0].token).await, AckAnswer::Stale);
            assert_eq!(messages.ack(second[0].token).await, AckAnswer::Acknowledged);
        }
    }
}

#[tokio::test]
async fn r25_what_the_sink_settles_is_not_claimed_and_what_it_leaves_is() {
    let mut bench = Bench::new(teller(&["take", "leave", "drop"]));
    bench.inner_mut().sink = Some(Arc::new(|message: &AgentMessage| match &*message.message {
        "take" => Delivery::Accepted,
        "drop" => Delivery::Blocked,
        _ => Delivery::Queued,
    }));
    let task = bench.start().await;
    settle().await;
    let open = bench.inner.messages().claim(&MessageFilter::default(), 9, SECOND);
    assert_eq!(open.iter().map(|claimed| &*claimed.message.message).collect::<Vec<_>>(), ["leave"]);
    assert_eq!(let_go(&task).await, "Accepted, Queued, Blocked");
    assert_eq!(settled(&log(&task).await), [(1, Settlement::Accepted), (3, Settlement::Blocked)]);
}

#[tokio::test]
async fn t11_a_message_whose_sink_panics_is_not_lost() {
    let mut bench = Bench::new(teller(&["one"]));
    bench.inner_mut().sink = Some(Arc::new(|_: &AgentMessage| panic!("the sink")));
    let task = bench.start().await;
    assert!(matches!(task.wait().await, Outcome::Failed(Failure { kind: FailureKind::Host, .. })));
    let messages = bench.inner.messages();
    let claimed = messages.claim(&MessageFilter::default(), 9, SECOND);
    assert_eq!(claimed[0].message.message, "one");
    assert_eq!(messages.ack(claimed[0].token).await, AckAnswer::Acknowledged);
}

#[tokio::test]
async fn r25_a_key_is_sent_once_over_all_attempts() {
    let bench = Bench::new(script(|link| async move {
        tell(&link, "hello", Some("greeting")).await;
        CellEnd::Returned(GuestOutcome::Failed { message: String::new(), error: None, retryable: true })
    }));
    let mut asked = request();
    asked.details.retry.attempts = 3;
    let task = bench.inner.start(asked).await.unwrap();
    for _ in 0..8 {
        bench.advance(Duration::from_hours(1)).await;
    }
    task.wait().await;
    assert_eq!(task.state().attempt, 3);
    let open = bench.inner.messages().claim(&MessageFilter::default(), 9, SECOND);
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].message.once, Some(key("greeting")));
}

#[tokio::test]
async fn r25_a_full_outbox_is_a_refusal_and_has_room_again_when_somebody_takes() {
    let of_task = LimitsRequest::default().agent_messages(2);
    let of_bytes = LimitsRequest::default().agent_message_bytes(6);
    for (limits, host) in [(of_task, 100), (of_bytes, 100), (LimitsRequest::default(), 2)] {
        let mut bench = Bench::new(script(|link| async move {
            let mut told = Vec::new();
            for message in ["one", "two", "six"] {
                told.push(tell(&link, message, None).await);
            }
            wait_for(&link, "go", None).await;
            told.push(tell(&link, "ten", None).await);
            success(json!(told.join("; ")))
        }));
        let outbox = OutboxLimits { messages: host, bytes: 1000 };
        bench.around_mut().outbox = Arc::new(OutboxDesk::new(outbox));
        let task = bench.inner.start(request().limits(limits)).await.unwrap();
        settle().await;
        let messages = bench.inner.messages();
        let claimed = messages.claim(&MessageFilter::default(), 1, SECOND);
        messages.ack(claimed[0].token).await;
        let told = let_go(&task).await;
        assert!(told.starts_with("Queued; Queued; too-large: "), "{told}");
        assert!(told.ends_with("; Queued"), "{told}");
    }
}

#[tokio::test]
async fn r25_an_acknowledgement_that_cannot_be_stored_lets_the_message_come_again() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(teller(&["one"]), 4, Arc::clone(&store) as _);
    let task = bench.start().await;
    settle().await;
    let_go(&task).await;
    task.gone().await;
    let messages = bench.inner.messages();
    let claimed = messages.claim(&MessageFilter::default(), 1, SECOND);
    store.fail(true);
    assert_eq!(messages.ack(claimed[0].token).await, AckAnswer::NotStored);
    store.fail(false);
    assert_eq!(messages.claim(&MessageFilter::default(), 1, SECOND), [], "it is still claimed");
    assert_eq!(messages.ack(claimed[0].token).await, AckAnswer::Acknowledged);
}

#[tokio::test]
async fn f14_messages_go_with_their_task() {
    let bench = Bench::new(teller(&["one"]));
    let task = bench.start().await;
    settle().await;
    let_go(&task).await;
    task.gone().await;
    drop(task);
    let messages = bench.inner.messages();
    let claimed = messages.claim(&MessageFilter::default(), 1, Duration::from_hours(9));
    bench.advance(Duration::from_mins(61)).await;
    assert_eq!(messages.open(&MessageFilter::default()), 1);
    let other = bench.start().await;
    settle().await;
    assert_eq!(messages.open(&MessageFilter::default()), 1, "the other task's");
    assert_eq!(messages.ack(claimed[0].token).await, AckAnswer::Stale);
    let_go(&other).await;
}

#[tokio::test]
async fn r25_an_acknowledgement_that_nobody_waits_for_leaves_the_message_claimed() {
    let bench = Bench::new(teller(&["one"]));
    bench.start().await;
    settle().await;
    let messages = bench.inner.messages();
    let claimed = messages.claim(&MessageFilter::default(), 1, SECOND);
    // Polled once, and dropped before the task has answered.
    let waits = {
        let mut ack = pin!(messages.ack(claimed[0].token));
        poll_fn(|cx| Poll::Ready(ack.as_mut().poll(cx).is_pending())).await
    };
    assert!(waits);
    settle().await;
    assert_eq!(messages.open(&MessageFilter::default()), 1);
    assert_eq!(messages.ack(claimed[0].token).await, AckAnswer::Acknowledged, "it was written down already");
    assert_eq!(messages.open(&MessageFilter::default()), 0);
}
