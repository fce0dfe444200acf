//! Approvals, instructions, several signals, and what reaches several tasks.

use std::time::Duration;

use serde_json::{Value, json};
use taskcell_guest::testing::{EndedWait, FakeHost, ScopeNotified, UsageRecord};
use taskcell_guest::{
    Approval, Decision, Delivery, NotApproved, Reach, RefusalKind, Refused, Scope, Sender, TaskCtl, TaskError, TaskRef,
    WaitError, WaitFor,
};

const SECOND: Duration = Duration::from_secs(1);

fn question() -> Approval {
    Approval::new("deploy", "put it into production").reason("it is done").metadata(json!({ "n": 1 }))
}

#[test]
fn decisions_are_for_one_question_each_and_in_order() {
    let host = FakeHost::new();
    host.approve_after(2 * SECOND);
    host.approve_with(json!({ "n": 2 }));
    host.approve_with(Value::Null);
    host.deny("no");
    let ctl = host.ctl();
    let by = Sender::Person;
    let decisions = [(); 4].map(|()| ctl.request_approval(question()).unwrap());
    assert_eq!(
        decisions,
        [
            Decision::Approved { by: by.clone(), input: None },
            Decision::Approved { by: by.clone(), input: Some(json!({ "n": 2 })) },
            Decision::Approved { by: by.clone(), input: Some(Value::Null) },
            Decision::Denied { by, reason: "no".to_owned() },
        ]
    );
    assert_eq!(host.elapsed(), 2 * SECOND);
    let asked = host.approval_requests().remove(3);
    assert_eq!((asked.kind.as_str(), asked.summary.as_str()), ("deploy", "put it into production"));
    assert_eq!((asked.reason.as_str(), asked.metadata), ("it is done", Some(json!({ "n": 1 }))));
    assert_eq!((asked.timeout, &asked.decision), (None, &decisions[3]));
}

#[test]
fn nobody_deciding_in_time_is_a_no_and_a_late_decision_is_lost() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.approve_after(5 * SECOND);
    assert_eq!(ctl.request_approval(question().timeout(3 * SECOND)), Ok(Decision::TimedOut));
    assert_eq!(host.elapsed(), 3 * SECOND);
    host.approve();
    assert_eq!(ctl.request_approval(question().timeout(Duration::ZERO)), Ok(Decision::TimedOut));
    let decided = ctl.request_approval(question().timeout(SECOND)).unwrap();
    assert_eq!((decided.granted(), host.elapsed()), (Ok(None), 3 * SECOND));
    assert_eq!(Decision::TimedOut.granted(), Err(NotApproved::TimedOut));
}

#[test]
fn a_cancel_ends_a_question_and_with_granted_the_task() {
    let asks = |ctl: &TaskCtl, (): ()| -> Result<(), TaskError> {
        ctl.request_approval(question())?.granted()?;
        Ok(())
    };
    let host = FakeHost::new();
    host.cancel_after(2 * SECOND, "enough");
    host.approve_after(4 * SECOND);
    assert_eq!(host.run(asks, ()), Err(TaskError::cancelled("stopped while waiting for approval")));
    assert_eq!(host.elapsed(), 2 * SECOND);
    host.approve();
    assert_eq!(host.ctl().request_approval(question()), Ok(Decision::Cancelled));
}

#[test]
fn a_question_needs_a_kind_and_the_start_is_none_of_the_tasks_own() {
    let host = FakeHost::new();
    host.approve();
    for kind in ["", "start", "two\nlines", &"k".repeat(65)] {
        let refused = host.ctl().request_approval(Approval::new(kind, "do it")).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::InvalidArgument, "{kind:?}");
    }
    assert!(host.ctl().request_approval(Approval::new("k".repeat(64), "do it")).is_ok());
}

#[test]
fn what_would_never_end_is_explained() {
    let ctl = FakeHost::new().ctl();
    let text = ctl.request_approval(question()).unwrap_err().to_string();
    assert!(text.contains("asks for approval without a timeout, and the test decides nothing"), "{text}");
    let text = ctl.next_message().unwrap_err().to_string();
    assert!(text.contains("waits for a message without a timeout, and the test says nothing"), "{text}");
    let text = ctl.wait_any::<()>(["a", "b"], None).unwrap_err().to_string();
    assert!(text.contains("the signal \"a\" or \"b\" without a timeout"), "{text}");
}

#[test]
fn what_is_said_comes_in_order_and_a_timeout_of_zero_only_looks() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.instruct_at(2 * SECOND, "third");
    host.instruct("first");
    host.instruct("second");
    let said = |message: Option<taskcell_guest::Instruction>| message.map(|said| said.text);
    assert_eq!(said(ctl.next_message_within(Duration::ZERO).unwrap()).as_deref(), Some("first"));
    assert_eq!(ctl.next_message().unwrap().text, "second");
    assert_eq!(ctl.next_message_within(Duration::ZERO), Ok(None));
    assert_eq!(ctl.next_message_within(SECOND), Ok(None));
    assert_eq!(host.elapsed(), SECOND);
    assert_eq!(ctl.next_message().unwrap().text, "third");
    host.cancel_after(3 * SECOND, "enough");
    let stopped = ctl.next_message().unwrap_err();
    assert!(matches!(stopped, WaitError::Cancelled(_)), "{stopped}");
    assert_eq!(host.elapsed(), 3 * SECOND);
}

#[test]
fn a_wait_for_several_keys_takes_the_oldest() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.send_at(SECOND, "b", json!("second"));
    host.send_at(2 * SECOND, "a", json!("third"));
    host.signal("c", json!("first"));
    let taken = [(); 3].map(|()| {
        let taken = ctl.wait_any::<String>(["a", "b", "c"], None).unwrap();
        (taken.key, taken.signal.payload)
    });
    let expected = [("c", "first"), ("b", "second"), ("a", "third")];
    assert_eq!(taken, expected.map(|(key, payload)| (key.to_owned(), payload.to_owned())));
    assert_eq!(ctl.wait_any_raw(&["a", "b"][..], SECOND).unwrap_err(), WaitError::TimedOut);
    assert_eq!(host.elapsed(), 3 * SECOND);
}

#[test]
fn only_named_senders_are_heard() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.signal_from(Sender::Task, "go", json!(false));
    host.signal_from(Sender::Agent, "go", json!(false));
    let person = WaitFor::any_of(["go"]).from_sender(Sender::Person);
    assert_eq!(ctl.wait_any::<bool>(person.clone(), SECOND), Err(WaitError::TimedOut));
    host.send_at(3 * SECOND, "go", None);
    let taken = ctl.wait_any_raw(person, None).unwrap();
    assert_eq!((taken.key.as_str(), taken.signal.payload, taken.signal.sender), ("go", None, Sender::Person));
    // The others are still there.
    let others = WaitFor::any_of(["go"]).from_sender(Sender::Agent).from_sender(Sender::Task);
    assert_eq!(ctl.wait_any::<bool>(others, None).unwrap().signal.sender, Sender::Task);
    assert_eq!(ctl.wait::<bool>("go", None).unwrap().sender, Sender::Agent);
}

#[test]
fn a_wait_for_several_keys_has_the_contracts_bounds() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let many = |count: usize| WaitFor::any_of((0..count).map(|number| number.to_string()));
    for wait in [many(0), many(65), WaitFor::any_of(["a", ""])] {
        let error = ctl.wait_any::<()>(wait, SECOND).unwrap_err();
        assert!(matches!(&error, WaitError::Refused(r) if r.kind == RefusalKind::InvalidArgument), "{error}");
    }
    assert_eq!(ctl.wait_any::<()>(many(64), SECOND), Err(WaitError::TimedOut));
    host.signal("a", json!("text"));
    let misfit = ctl.wait_any::<u8>(["a", "b"], None).unwrap_err().to_string();
    assert!(misfit.contains("signal \"a\": invalid type: string"), "{misfit}");
    host.cancel("enough");
    let stopped = ctl.wait_any::<u8>(["a", "b"], None).unwrap_err();
    assert_eq!(stopped.to_string(), "stopped while waiting for one of the signals \"a\", \"b\"");
}

#[test]
fn what_goes_to_a_scope_is_remembered_and_answered() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    assert_eq!(ctl.notify_scope(Scope::Tree, Reach::First, "go", Some(&1)), Ok(1));
    let denied = Refused { kind: RefusalKind::Denied, message: "no".to_owned() };
    host.answer_notify_scope(Err(denied.clone()));
    assert_eq!(ctl.notify_scope(Scope::Session, Reach::All, "go", None::<&()>), Err(denied));
    assert_eq!(
        ctl.notify_scope(Scope::Tree, Reach::All, "", None::<&()>).unwrap_err().kind,
        RefusalKind::InvalidArgument
    );
    let key = "go".to_owned();
    let first = ScopeNotified { scope: Scope::Tree, reach: Reach::First, key: key.clone(), payload: Some(json!(1)) };
    let second = ScopeNotified { scope: Scope::Session, reach: Reach::All, key, payload: None };
    assert_eq!(host.scope_notified(), [first, second]);
}

#[test]
fn ended_waits_are_remembered_and_answered() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let target = TaskRef::new("plugin", "type", "key");
    assert_eq!((ctl.cancel_wait(&target, "go"), ctl.cancel_all_waits(&target)), (Ok(true), Ok(1)));
    host.answer_cancel_wait(Ok(0));
    assert_eq!((ctl.cancel_wait(&target, "go"), ctl.cancel_all_waits(&target)), (Ok(false), Ok(0)));
    assert_eq!(ctl.cancel_wait(&target, "").unwrap_err().kind, RefusalKind::InvalidArgument);
    let one = EndedWait { target: target.clone(), key: Some("go".to_owned()) };
    let all = EndedWait { target, key: None };
    assert_eq!(host.ended_waits(), [one.clone(), all.clone(), one, all]);
}

#[test]
fn a_message_with_a_key_is_sent_once() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    for key in ["a", "b", "a"] {
        assert_eq!(ctl.notify_agent_once(key, key, true), Ok(Delivery::Accepted));
    }
    ctl.notify_agent("a", true).unwrap();
    assert_eq!(host.messages().iter().map(|sent| sent.message.as_str()).collect::<String>(), "aba");
    assert_eq!(ctl.notify_agent_once("", "a", true).unwrap_err().kind, RefusalKind::InvalidArgument);
}

#[test]
fn what_was_spent_is_remembered() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    ctl.record_usage("search", 10, 1).unwrap();
    assert_eq!(ctl.record_usage("", 1, 1).unwrap_err().kind, RefusalKind::InvalidArgument);
    assert_eq!(host.usage(), [UsageRecord { tool: "search".to_owned(), tokens: 10, actions: 1 }]);
}
