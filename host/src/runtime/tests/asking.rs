//! Approvals, instructions, several signals and spending: their times and their races, on a clock that the test moves.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, Script, key, log, request, script, settle, success};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, Approvers};
use crate::model::event::{Budget, EventBody};
use crate::model::limits::LimitsRequest;
use crate::model::outbox::{AgentMessage, Delivery};
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party, SenderClass, Senders};
use crate::model::snapshot::Phase;
use crate::ports::runner::{CellLink, GuestCall, NoSignal};
use crate::runtime::handle::{ApprovalAnswer, TaskHandle};

const SECOND: Duration = Duration::from_secs(1);
const FIRST: ApprovalNumber = ApprovalNumber(1);

async fn ask(link: &CellLink, timeout: Option<Duration>) -> String {
    let question = ApprovalAsk { timeout, ..ApprovalAsk::new("deploy", "tests pass", "version 7") };
    match link.request(|reply| GuestCall::RequestApproval { ask: question, reply }).await {
        Ok(ApprovalDecision::Approved { by, input }) => format!("approved by {by}: {input:?}"),
        Ok(ApprovalDecision::Denied { by, reason }) => format!("denied by {by}: {reason}"),
        Ok(ApprovalDecision::TimedOut) => "timed out".to_owned(),
        Ok(ApprovalDecision::Cancelled) => "cancelled".to_owned(),
        Err(refusal) => format!("{}: {}", refusal.kind.word(), refusal.message),
    }
}

fn asker(timeout: Option<Duration>) -> Script {
    script(move |link| async move { success(json!(ask(&link, timeout).await)) })
}

async fn listen(link: &CellLink, timeout: Option<Duration>) -> String {
    match link.request(|reply| GuestCall::NextInstruction { timeout, reply }).await {
        Ok(Some(said)) => format!("{} from {}", said.text, said.by),
        Ok(None) => "nothing".to_owned(),
        Err(refusal) => refusal.kind.word().to_owned(),
    }
}

async fn wait_any(link: &CellLink, names: &[&str], senders: Senders, timeout: Option<Duration>) -> String {
    let keys = names.iter().map(|name| key(name)).collect();
    match link.ask(|reply| GuestCall::Wait { keys, senders, timeout, reply }).await {
        Some(Ok((key, signal))) => format!("{key} from {}", signal.sender.word()),
        Some(Err(NoSignal::Over(end))) => format!("{end:?}"),
        Some(Err(NoSignal::Refused(refusal))) => refusal.message,
        None => "nobody".to_owned(),
    }
}

async fn answer(task: &TaskHandle) -> String {
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = &outcome else { panic!("{outcome:?}") };
    data.as_str().unwrap().to_owned()
}

async fn bodies(task: &TaskHandle) -> Vec<EventBody> {
    log(task).await.into_iter().map(|event| event.body).collect()
}

#[tokio::test]
async fn r26_a_question_is_open_until_somebody_decides_and_the_deadline_stands_still() {
    let bench = Bench::new(asker(None));
    let limits = LimitsRequest { idle: Some(5 * SECOND), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits).timeout(10 * SECOND)).await.unwrap();
    bench.advance(Duration::from_hours(3)).await;
    let state = task.state();
    assert_eq!((state.phase, state.approvals.len()), (Phase::Running, 1));
    assert_eq!((state.approvals[0].number, state.approvals[0].ask.kind.as_str()), (FIRST, "deploy"));
    assert!(state.summary().starts_with("asks for approval (version 7)"), "{}", state.summary());
    assert_eq!(task.approve(FIRST, Some(json!(6)), Party::Person).await, ApprovalAnswer::Decided);
    assert_eq!(answer(&task).await, "approved by a person: Some(Number(6))");
    assert_eq!(task.state().approvals, []);
}

#[tokio::test]
async fn r26_nobody_deciding_in_time_is_a_no() {
    let bench = Bench::new(asker(Some(5 * SECOND)));
    let task = bench.start().await;
    bench.advance(Duration::from_millis(4999)).await;
    assert_eq!(task.state().approvals.len(), 1);
    bench.advance(Duration::from_millis(1)).await;
    assert_eq!(answer(&task).await, "timed out");
    let over = EventBody::ApprovalDecided { number: FIRST, decision: ApprovalDecision::TimedOut };
    assert!(bodies(&task).await.contains(&over));
    // Without time there is no question at all.
    let bench = Bench::new(asker(Some(Duration::ZERO)));
    let at_once = bench.start().await;
    assert_eq!(answer(&at_once).await, "timed out");
    assert!(!bodies(&at_once).await.iter().any(|body| matches!(body, EventBody::ApprovalRequested { .. })));
}

#[tokio::test]
async fn r26_the_first_decision_stands() {
    let bench = Bench::new(asker(None));
    let task = bench.start().await;
    assert_eq!(task.deny(FIRST, "early", Party::Person).await, ApprovalAnswer::NotAsked);
    settle().await;
    assert_eq!(task.deny(ApprovalNumber(2), "another", Party::Person).await, ApprovalAnswer::NotAsked);
    let (yes, no) = tokio::join!(task.approve(FIRST, None, Party::Person), task.deny(FIRST, "no", Party::Host));
    assert_eq!(yes, ApprovalAnswer::Decided);
    assert!(matches!(no, ApprovalAnswer::NotAsked | ApprovalAnswer::AlreadyEnded(_)), "{no:?}");
    assert_eq!(answer(&task).await, "approved by a person: None");
    assert!(matches!(task.deny(FIRST, "late", Party::Host).await, ApprovalAnswer::AlreadyEnded(_)));
    let decided = |body: &&EventBody| matches!(body, EventBody::ApprovalDecided { .. });
    assert_eq!(bodies(&task).await.iter().filter(decided).count(), 1);
}

#[tokio::test]
async fn r26_an_approval_and_a_cancel_meet_in_either_order() {
    for cancel_first in [true, false] {
        let bench = Bench::new(asker(None));
        let task = bench.start().await;
        settle().await;
        let wish = CancelRequest::new(Party::Person, "enough");
        let expected = if cancel_first {
            task.cancel(wish).await;
            let late = task.approve(FIRST, None, Party::Person).await;
            assert!(!matches!(late, ApprovalAnswer::Decided), "{late:?}");
            "cancelled"
        } else {
            assert_eq!(task.approve(FIRST, None, Party::Person).await, ApprovalAnswer::Decided);
            task.cancel(wish).await;
            "approved by a person: None"
        };
        assert_eq!(answer(&task).await, expected);
        let open = bodies(&task).await.iter().filter(|body| matches!(body, EventBody::ApprovalDecided { .. })).count();
        assert_eq!(open, 1);
    }
}

#[tokio::test]
async fn r26_a_forced_end_decides_what_is_open() {
    let bench = Bench::new(asker(None));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { forced: true, .. }));
    let over = EventBody::ApprovalDecided { number: FIRST, decision: ApprovalDecision::Cancelled };
    assert!(bodies(&task).await.contains(&over), "f19: no question is lost");
    assert_eq!(task.state().approvals, []);
}

#[tokio::test]
async fn r26_who_may_decide_is_policy_and_by_default_not_the_agent() {
    for (approvers, person, host, agent) in [
        (Approvers::PersonOrHost, true, true, false),
        (Approvers::Person, true, false, false),
        (Approvers::Anybody, true, true, true),
    ] {
        for (by, may) in [(Party::Person, person), (Party::Host, host), (Party::Agent, agent), (Party::Itself, false)] {
            let bench = Bench::new(asker(None));
            let mut asked = request();
            asked.details.approvers = approvers;
            let task = bench.inner.start(asked).await.unwrap();
            settle().await;
            let told = task.approve(FIRST, None, by).await;
            if may {
                assert_eq!(told, ApprovalAnswer::Decided, "{approvers:?} {by}");
            } else {
                let ApprovalAnswer::NotAllowed(why) = told else { panic!("{approvers:?} {by}: {told:?}") };
                assert!(why.contains("may not decide"), "{why}");
                assert_eq!(task.state().approvals.len(), 1, "it is still open");
            }
        }
    }
}

#[tokio::test]
async fn r28_what_is_said_is_kept_in_order_and_wakes_whoever_listens() {
    let bench = Bench::new(script(|link| async move {
        let mut heard = Vec::new();
        for timeout in [None, Some(5 * SECOND), Some(5 * SECOND), Some(Duration::ZERO), None] {
            heard.push(listen(&link, timeout).await);
        }
        success(json!(heard.join(", ")))
    }));
    let task = bench.start().await;
    settle().await;
    assert!(task.state().awaits_instruction && task.state().summary().starts_with("waits to be told something"));
    let told = task.instruct("go left", Party::Person).await;
    assert_eq!(told, NotifyAnswer::Delivered);
    bench.advance(Duration::from_millis(4999)).await;
    assert_eq!(task.instruct("go right", Party::Agent).await, NotifyAnswer::Delivered);
    bench.advance(5 * SECOND).await;
    settle().await;
    task.cancel(CancelRequest::new(Party::Person, "enough")).await;
    assert_eq!(answer(&task).await, "go left from a person, go right from the agent, nothing, nothing, cancelled");
    assert_eq!(task.instruct("too late", Party::Person).await, NotifyAnswer::NoTask);
}

#[tokio::test]
async fn r28_what_is_said_before_the_task_listens_is_kept_up_to_a_limit() {
    let bench = Bench::new(script(|link| async move {
        super::bench::wait_for(&link, "go", None).await;
        let first = listen(&link, Some(Duration::ZERO)).await;
        success(json!(format!("{first}, {}", listen(&link, None).await)))
    }));
    let task = bench.start().await;
    settle().await;
    for number in 0..1024 {
        assert_eq!(task.instruct(number.to_string(), Party::Person).await, NotifyAnswer::Buffered);
    }
    assert_eq!(task.instruct("one too many", Party::Person).await, NotifyAnswer::Full);
    task.notify(key("go"), None, Party::Host).await;
    assert_eq!(answer(&task).await, "0 from a person, 1 from a person");
}

#[tokio::test]
async fn r21_a_signal_and_the_time_of_a_wait_for_several_meet_in_either_order() {
    for signal_first in [true, false] {
        let bench = Bench::new(script(|link| async move {
            let first = wait_any(&link, &["a", "b"], Senders::default(), Some(5 * SECOND)).await;
            success(json!(format!("{first}, {}", wait_any(&link, &["b"], Senders::default(), None).await)))
        }));
        let task = bench.start().await;
        settle().await;
        let expected = if signal_first {
            assert_eq!(task.notify(key("b"), None, Party::Host).await, NotifyAnswer::Delivered);
            bench.advance(5 * SECOND).await;
            task.notify(key("b"), None, Party::Person).await;
            "b from host, b from person"
        } else {
            bench.advance(5 * SECOND).await;
            assert_eq!(task.notify(key("b"), None, Party::Person).await, NotifyAnswer::Delivered);
            "TimedOut, b from person"
        };
        assert_eq!(answer(&task).await, expected);
    }
}

#[tokio::test]
async fn t16_a_wait_for_a_person_is_not_ended_by_anybody_else() {
    let bench = Bench::new(script(|link| async move {
        let person = Senders::only([SenderClass::Person]);
        let first = wait_any(&link, &["yes", "no"], person, None).await;
        success(json!(format!("{first}, {}", wait_any(&link, &["yes", "no"], Senders::default(), None).await)))
    }));
    let task = bench.start().await;
    settle().await;
    for other in [Party::Agent, Party::Host, Party::Task(task.id()), Party::Itself] {
        assert_eq!(task.notify(key("yes"), None, other).await, NotifyAnswer::Buffered, "{other}");
    }
    assert!(task.state().waiting.is_some());
    assert_eq!(task.notify(key("no"), None, Party::Person).await, NotifyAnswer::Delivered);
    // What the others sent is still there, the oldest first.
    assert_eq!(answer(&task).await, "no from person, yes from agent");
}

#[tokio::test]
async fn r24_all_waits_of_a_task_are_ended_and_counted() {
    let bench = Bench::new(script(|link| async move {
        let first = wait_any(&link, &["a", "b"], Senders::default(), None).await;
        success(json!(format!("{first}, {}", ask(&link, None).await)))
    }));
    let task = bench.start().await;
    settle().await;
    assert!(!task.cancel_wait(key("c")).await);
    assert_eq!(task.cancel_all_waits().await, 1);
    settle().await;
    assert_eq!(task.cancel_all_waits().await, 0, "a question for approval is no wait");
    task.approve(FIRST, None, Party::Host).await;
    assert_eq!(answer(&task).await, "WaitCancelled, approved by the host: None");
    assert_eq!(task.cancel_all_waits().await, 0);
}

fn spender(times: u32, tokens: u64, actions: u64) -> Script {
    script(move |link| async move {
        for _ in 0..times {
            let record = |reply| GuestCall::RecordUsage { tool: "search".into(), tokens, actions, reply };
            link.request(record).await.unwrap();
        }
        success(json!("done"))
    })
}

#[tokio::test]
async fn r2a_a_budget_warns_at_four_fifths_and_stops_when_it_is_used_up() {
    for (limits, budget, name) in [
        (LimitsRequest { tokens: Some(100), ..LimitsRequest::default() }, Budget::Tokens, "tokens"),
        (LimitsRequest { actions: Some(100), ..LimitsRequest::default() }, Budget::Actions, "actions"),
    ] {
        for (times, lows, ends) in [(7, 0, false), (8, 1, false), (9, 1, false), (10, 1, true)] {
            let bench = Bench::new(spender(times, 10, 10));
            let task = bench.inner.start(request().limits(limits)).await.unwrap();
            let outcome = task.wait().await;
            let spent = u64::from(times) * 10;
            assert_eq!((task.state().usage.tokens, task.state().usage.actions), (spent, spent));
            let told: Vec<EventBody> =
                bodies(&task).await.into_iter().filter(|body| matches!(body, EventBody::BudgetLow { .. })).collect();
            let low = EventBody::BudgetLow { budget, used: 80, limit: 100 };
            assert_eq!(told, vec![low; lows], "{times} {name}");
            if ends {
                let Outcome::Failed(Failure { kind: FailureKind::Budget, message, .. }) = outcome else {
                    panic!("{outcome:?}")
                };
                assert_eq!(message, format!("its limit of 100 {name} is used up: it has recorded 100"));
            } else {
                assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn r25_a_message_with_a_key_is_sent_once_and_the_answer_stays() {
    let mut bench = Bench::new(script(|link| async move {
        let mut told = Vec::new();
        for name in ["a", "b", "a"] {
            let message =
                |reply| GuestCall::MessageAgent { message: name.into(), trigger: true, once: Some(key(name)), reply };
            told.push(format!("{:?}", link.request(message).await.unwrap()));
        }
        success(json!(told.join(", ")))
    }));
    bench.inner_mut().sink = Some(std::sync::Arc::new(|message: &AgentMessage| match message.message.as_str() {
        "a" => Delivery::Accepted,
        _ => Delivery::Blocked,
    }));
    let task = bench.start().await;
    assert_eq!(answer(&task).await, "Accepted, Blocked, Accepted");
    let sent = |body: &&EventBody| matches!(body, EventBody::AgentMessage { .. });
    assert_eq!(bodies(&task).await.iter().filter(sent).count(), 2);
}
