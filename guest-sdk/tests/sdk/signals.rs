//! Waiting and telling, with simulated time.

use std::time::Duration;

use serde_json::{Value, json};
use taskcell_guest::testing::FakeHost;
use taskcell_guest::{NotifyResult, RefusalKind, Refused, Sender, Signal, TaskRef, WaitError};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_signal_that_came_before_is_found() {
    let host = FakeHost::new();
    host.signal("go", json!(1));
    let signal = host.ctl().wait::<u8>("go", None).unwrap();
    assert_eq!(signal, Signal { payload: 1, sender: Sender::Person, task: None });
    assert_eq!(host.elapsed(), Duration::ZERO);
}

#[test]
fn signals_of_a_key_come_in_the_order_they_were_sent() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.send_at(2 * SECOND, "go", json!("late"));
    host.signal("other", json!("not this one"));
    host.signal("go", json!("first"));
    host.signal("go", json!("second"));
    let taken: Vec<String> = (0..3).map(|_| ctl.wait::<String>("go", None).unwrap().payload).collect();
    assert_eq!(taken, ["first", "second", "late"]);
    assert_eq!(host.elapsed(), 2 * SECOND);
}

#[test]
fn a_wait_takes_its_timeout_and_the_signal_is_kept() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.send_at(5 * SECOND, "go", json!(true));
    assert_eq!(ctl.wait::<bool>("go", 3 * SECOND), Err(WaitError::TimedOut));
    assert_eq!(host.elapsed(), 3 * SECOND);
    assert!(ctl.wait::<bool>("go", 3 * SECOND).unwrap().payload);
    assert_eq!(host.elapsed(), 5 * SECOND);
}

#[test]
fn a_timeout_of_zero_only_looks() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.send_at(SECOND, "go", json!(true));
    assert_eq!(ctl.wait::<bool>("go", Duration::ZERO), Err(WaitError::TimedOut));
    assert_eq!(ctl.poll::<bool>("go"), Ok(None));
    assert_eq!(host.elapsed(), Duration::ZERO);
}

#[test]
fn a_cancel_ends_a_wait_and_every_wait_after_it() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.cancel_after(2 * SECOND, "enough");
    host.signal("other", json!(1));
    assert_eq!(ctl.cancel_requested(), None);
    let error = ctl.wait::<u8>("go", None).unwrap_err();
    assert_eq!(error.to_string(), "stopped while waiting for the signal \"go\"");
    assert!(matches!(error, WaitError::Cancelled(_)));
    assert!(matches!(ctl.wait::<u8>("other", None), Err(WaitError::Cancelled(_))));
    let request = ctl.cancel_requested().unwrap();
    assert_eq!((request.by, request.reason.as_str()), (Sender::Person, "enough"));
    assert_eq!(host.elapsed(), 2 * SECOND);
}

#[test]
fn the_host_can_end_one_wait() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.end_next_wait();
    host.signal("go", json!(1));
    assert_eq!(ctl.wait::<u8>("go", None), Err(WaitError::WaitCancelled));
    assert_eq!(ctl.wait::<u8>("go", None).unwrap().payload, 1);
}

#[test]
fn a_wait_that_would_never_end_is_explained() {
    let host = FakeHost::new();
    host.signal("other", json!(1));
    let error = host.ctl().wait::<u8>("go", None).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("\"go\" without a timeout, and the test sends none"), "{text}");
}

#[test]
fn no_payload_is_read_like_null_but_raw_tells_them_apart() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    for _ in 0..2 {
        host.signal("go", None);
        host.signal("go", Value::Null);
    }
    assert_eq!(ctl.wait_raw("go", None).unwrap().payload, None);
    assert_eq!(ctl.poll_raw("go").unwrap().unwrap().payload, Some(Value::Null));
    ctl.wait::<()>("go", None).unwrap();
    assert_eq!(ctl.wait::<Option<u8>>("go", None).unwrap().payload, None);
}

#[test]
fn a_payload_that_does_not_fit_says_where_and_is_gone() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.signal("go", json!([1, "two"]));
    host.signal("go", json!([3]));
    let WaitError::BadPayload(text) = ctl.wait::<Vec<u8>>("go", None).unwrap_err() else {
        panic!("another error");
    };
    assert!(text.starts_with("`[1]`: invalid type: string"), "{text}");
    assert_eq!(ctl.poll::<Vec<u8>>("go").unwrap().unwrap().payload, [3]);
}

#[test]
fn keys_are_checked_like_the_contract_says() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let target = TaskRef::new("plugin", "type", "key");
    for key in ["", "line\nbreak", &"k".repeat(257)] {
        let refusals = [
            ctl.wait::<u8>(key, SECOND).unwrap_err(),
            ctl.poll::<u8>(key).unwrap_err(),
            WaitError::from(ctl.notify(&target, key, Some(&1)).unwrap_err()),
        ];
        for refusal in refusals {
            let invalid = matches!(&refusal, WaitError::Refused(r) if r.kind == RefusalKind::InvalidArgument);
            assert!(invalid, "{key:?}: {refusal:?}");
        }
    }
    host.signal(&"k".repeat(256), json!(1));
    assert!(ctl.wait::<u8>(&"k".repeat(256), None).is_ok());
}

#[test]
fn what_a_task_sends_is_remembered_and_answered() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let target = TaskRef::new("plugin", "type", "key");
    assert_eq!(ctl.notify(&target, "go", Some(&json!({ "a": 1 }))), Ok(NotifyResult::Delivered));
    host.answer_notify(Ok(NotifyResult::NoTask));
    assert_eq!(ctl.notify(&target, "go", None::<&()>), Ok(NotifyResult::NoTask));
    let denied = Refused { kind: RefusalKind::Denied, message: "no".to_owned() };
    host.answer_notify(Err(denied.clone()));
    assert_eq!(ctl.notify(&target, "go", Some(&())), Err(denied));
    let payloads: Vec<Option<Value>> = host.notified().into_iter().map(|sent| sent.payload).collect();
    assert_eq!(payloads, [Some(json!({ "a": 1 })), None, Some(Value::Null)]);
}

#[test]
fn a_task_can_send_to_itself() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let info = ctl.info();
    let itself = TaskRef::new(info.plugin, info.task_type, info.key);
    assert_eq!(ctl.notify(&itself, "note", Some(&7)), Ok(NotifyResult::Buffered));
    assert_eq!(ctl.poll::<u8>("note").unwrap().unwrap(), Signal { payload: 7, sender: Sender::Itself, task: None });
}
