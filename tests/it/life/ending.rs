//! Each way to end, told apart.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    ControlAnswer, EventBody, Failure, FailureKind, LimitsRequest, Outcome, Oversize, OversizePolicy, Party,
    SimulatedClock, StartRequest,
};

use crate::support::task::{data, events, failed, failure, outcome, parked, reported, run, start, start_as, started};
use crate::support::{builder, fixture, guest, request, with_fixture, within};

#[tokio::test]
async fn r2_a_success_has_its_message_and_its_data() {
    let host = builder().build().unwrap();
    host.load_plugin(guest("hello")).await.unwrap();
    let task = start_as(&host, StartRequest::new("hello", "hello").input(json!({"name": "Ada"}))).await;
    assert_eq!(
        outcome(&task).await,
        Outcome::Succeeded { message: "greeting Ada".to_owned(), data: Some(json!({"greeting": "Hello, Ada!"})) }
    );
}

#[tokio::test]
async fn r2_data_comes_back_as_it_was_given() {
    let (host, _) = fixture().await;
    for value in [
        json!(null),
        json!(false),
        json!("ü\u{0}€😀\u{2028}"),
        json!({"a": [1, -2.5, 1e300, {"": []}]}),
        json!(u64::MAX),
    ] {
        assert_eq!(data(run(&host, "echo", value.clone()).await), value);
    }
}

#[tokio::test]
async fn f17_a_guests_failure_is_a_failure_with_its_own_words() {
    let (host, _) = fixture().await;
    let input = json!({"message": "no luck", "retryable": true, "details": {"tries": 3}});
    let told = failed(run(&host, "fail", input).await, FailureKind::Guest);
    assert_eq!(told.message, "no luck");
    assert!(told.retryable);
    assert_eq!(told.error, Some(json!({"tries": 3})));
    assert_eq!((told.exit_code, told.backtrace), (None, vec![]));
}

#[tokio::test]
async fn r37_a_failure_need_not_be_retryable_nor_have_details() {
    let (host, _) = fixture().await;
    let input = json!({"message": "never", "retryable": false, "details": null});
    let told = failed(run(&host, "fail", input).await, FailureKind::Guest);
    assert_eq!((told.retryable, told.error), (false, None));
}

#[tokio::test]
async fn f16_a_panic_ends_the_task_and_says_what_and_where() {
    let (host, _) = fixture().await;
    let told = failed(run(&host, "panic", json!({"message": "oh dear"})).await, FailureKind::Panic);
    assert!(told.message.contains("oh dear"), "{}", told.message);
    let place = told.message.split_once("ending.rs:").expect("the place is named").1;
    let line: String = place.chars().take_while(char::is_ascii_digit).collect();
    assert!(line.parse::<u32>().unwrap() > 0, "{}", told.message);
    assert!(!told.backtrace.is_empty());
}

#[tokio::test]
async fn r37_a_trap_is_no_panic_and_its_backtrace_has_names() {
    let (host, _) = fixture().await;
    let told = failed(run(&host, "trap", json!(null)).await, FailureKind::Trap);
    assert!(told.message.contains("unreachable"), "{}", told.message);
    assert!(told.backtrace.iter().any(|frame| frame.contains("fixture")), "{:?}", told.backtrace);
}

#[tokio::test]
async fn f32_an_exit_inside_a_plugin_ends_the_task_and_nothing_else() {
    let (host, _) = fixture().await;
    // WASI 0.2 knows only success and failure: every other code arrives as 1.
    for code in [1, 3, 255] {
        let told = failed(run(&host, "exit", json!({"code": code})).await, FailureKind::Exited);
        assert_eq!(told.exit_code, Some(1));
    }
    assert_eq!(data(run(&host, "echo", json!("still here")).await), json!("still here"));
}

#[tokio::test]
async fn r37_an_exit_with_0_is_no_outcome_of_a_plugin() {
    let (host, _) = fixture().await;
    let told = failed(run(&host, "exit", json!({"code": 0})).await, FailureKind::Exited);
    assert_eq!(told.exit_code, Some(0));
}

#[tokio::test]
async fn t01_a_loop_without_end_stops_when_its_fuel_is_gone() {
    let (host, _) = fixture().await;
    let task = start_as(&host, request("spin", json!(null)).fuel(20_000_000)).await;
    let told = failed(outcome(&task).await, FailureKind::OutOfFuel);
    assert!(told.message.contains("20000000"), "{}", told.message);
    let used = task.state().usage.fuel;
    assert!((19_000_000..=20_000_000).contains(&used), "{used}");
}

#[tokio::test]
async fn t03_a_guest_that_sleeps_is_ended_by_its_deadline() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let task = start_as(&host, request("sleep", json!({"ms": 3_600_000})).timeout(Duration::from_mins(1))).await;
    started(&task).await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(task.state().outcome, None);
    clock.advance(Duration::from_secs(1));
    let told = failed(outcome(&task).await, FailureKind::Timeout);
    assert!(told.message.contains("1 min"), "{}", told.message);
    assert_eq!(task.state().usage.wall, Duration::from_mins(1));
}

#[tokio::test]
async fn r37_a_busy_guest_is_ended_by_its_deadline() {
    let (host, _) = fixture().await;
    let task = start_as(&host, request("spin", json!(null)).timeout(Duration::from_millis(20))).await;
    failed(outcome(&task).await, FailureKind::Timeout);
}

#[tokio::test]
async fn r37_a_guest_that_wants_too_much_memory_fails_with_memory() {
    let (host, _) = fixture().await;
    let task = start_as(&host, request("allocate", json!({"mib": 64})).memory_bytes(16 << 20)).await;
    failed(outcome(&task).await, FailureKind::Memory);
    assert!(task.state().usage.memory_peak_bytes <= 16 << 20);
}

#[tokio::test]
async fn r37_memory_over_the_hosts_own_limit_fails_with_memory_too() {
    let (host, _) = fixture().await;
    failed(run(&host, "allocate", json!({"mib": 200})).await, FailureKind::Memory);
}

#[tokio::test]
async fn t06_a_result_over_its_limit_fails_with_output_limit() {
    let limits = taskcell::Limits::default().result_bytes(1 << 20);
    let (host, _) = with_fixture(builder().limits(limits)).await;
    let told = failed(run(&host, "big-result", json!({"mib": 2})).await, FailureKind::OutputLimit);
    assert!(told.message.contains("1048576"), "{}", told.message);
}

#[tokio::test]
async fn t06_a_result_over_what_crosses_at_once_fails_with_output_limit_too() {
    let (host, _) = fixture().await;
    failed(run(&host, "big-result", json!({"mib": 8})).await, FailureKind::OutputLimit);
}

#[tokio::test]
async fn r45_a_result_over_its_limit_is_stored_or_clipped_and_one_over_what_crosses_is_not() {
    let limits = taskcell::Limits::default().result_bytes(1 << 20);
    let (host, _) = with_fixture(builder().limits(limits)).await;
    let big = |policy, mib: u64| request("big-result", json!({"mib": mib})).oversize(Oversize::new(policy));
    let task = start_as(&host, big(OversizePolicy::Store, 2)).await;
    let stored = data(outcome(&task).await);
    assert_eq!((&stored["stored"]["artifact"], &stored["stored"]["size"]), (&json!(1), &json!((2 << 20) + 2)));
    assert_eq!(within(task.read_artifact(1)).await.unwrap().len(), (2 << 20) + 2);
    let task = start_as(&host, big(OversizePolicy::Clip, 2)).await;
    assert_eq!(data(outcome(&task).await)["clipped"], true);
    // Nothing is taken in that is larger than one call may be.
    for policy in [OversizePolicy::Store, OversizePolicy::Clip] {
        let task = start_as(&host, big(policy, 8)).await;
        let told = failed(outcome(&task).await, FailureKind::OutputLimit);
        assert_eq!(told.limit.as_deref(), Some("call_bytes"));
    }
}

#[tokio::test]
async fn r2_a_large_result_within_the_limit_comes_through() {
    let (host, _) = fixture().await;
    let text = data(run(&host, "big-result", json!({"mib": 3})).await);
    assert_eq!(text.as_str().map(str::len), Some(3 << 20));
}

#[tokio::test]
async fn f13_a_task_may_end_as_cancelled_by_itself() {
    let (host, _) = fixture().await;
    assert_eq!(
        run(&host, "cancel-self", json!(null)).await,
        Outcome::Cancelled {
            by: Party::Itself,
            reason: String::new(),
            forced: false,
            begun: true,
            message: "stopped of its own accord".to_owned(),
            data: None,
        }
    );
}

#[tokio::test]
async fn r37_no_kind_of_end_passes_for_another() {
    let (host, _) = fixture().await;
    let small = |task, input| request(task, input).memory_bytes(16 << 20).fuel(50_000_000);
    let cases = [
        ("fail", json!({"message": "m", "retryable": false, "details": null}), FailureKind::Guest),
        ("panic", json!({"message": "m"}), FailureKind::Panic),
        ("trap", json!(null), FailureKind::Trap),
        ("exit", json!({"code": 7}), FailureKind::Exited),
        ("spin", json!(null), FailureKind::OutOfFuel),
        ("allocate", json!({"mib": 100}), FailureKind::Memory),
    ];
    for (task_type, input, kind) in cases {
        let told = failure(outcome(&start_as(&host, small(task_type, input)).await).await);
        assert_eq!(told.kind, kind, "{task_type}: {told:?}");
    }
}

#[tokio::test]
async fn r40_usage_says_what_was_used() {
    let (host, _) = fixture().await;
    let task = start(&host, "steps", json!({"n": 10})).await;
    outcome(&task).await;
    let usage = task.state().usage;
    assert!(usage.fuel > 0 && usage.fuel < 1_000_000_000, "{usage:?}");
    assert!((64 << 10..128 << 20).contains(&usage.memory_peak_bytes), "{usage:?}");
    assert!(usage.host_calls >= 20, "{usage:?}");
    assert!(usage.wall > Duration::ZERO, "{usage:?}");
}

#[tokio::test]
async fn r40_memory_that_was_taken_shows_in_the_peak() {
    let (host, _) = fixture().await;
    let task = start(&host, "allocate", json!({"mib": 20})).await;
    assert_eq!(data(outcome(&task).await), json!(20 << 20));
    assert!(task.state().usage.memory_peak_bytes >= 20 << 20);
}

#[tokio::test]
async fn r13_limits_of_a_request_only_shrink_those_of_the_host() {
    let limits = taskcell::Limits::default().fuel(30_000_000);
    let (host, _) = with_fixture(builder().limits(limits)).await;
    let mut greedy = request("info", json!(null));
    greedy.limits = LimitsRequest::default().fuel(u64::MAX).timeout(Duration::MAX).memory_bytes(u64::MAX);
    let info = data(outcome(&start_as(&host, greedy).await).await);
    assert_eq!(info["info"]["fuel_budget"], json!(30_000_000));
    let left = info["fuel_remaining"].as_u64().unwrap();
    assert!((1..30_000_000).contains(&left), "{left}");
    let spinning = start_as(&host, request("spin", json!(null)).fuel(u64::MAX)).await;
    failed(outcome(&spinning).await, FailureKind::OutOfFuel);
}

#[tokio::test]
async fn r4_a_task_knows_what_it_is() {
    let (host, _) = fixture().await;
    let key = taskcell::TaskKey::new("a key/with: parts").unwrap();
    let mut asked = request("info", json!(null)).key(key).fuel(900_000_000);
    asked.details.session = Some("s1".to_owned());
    asked.details.labels.insert("team".to_owned(), "blue".to_owned());
    let task = start_as(&host, asked).await;
    let info: Value = data(outcome(&task).await)["info"].clone();
    assert_eq!(info["id"], json!(task.id().to_string()));
    assert_eq!(info["plugin"], json!("fixture"));
    assert_eq!(info["task_type"], json!("info"));
    assert_eq!(info["key"], json!("a key/with: parts"));
    assert_eq!((&info["session"], &info["attempt"]), (&json!("s1"), &json!(1)));
    assert_eq!((&info["labels"], &info["parent"]), (&json!({"team": "blue"}), &Value::Null));
    assert_eq!(info["fuel_budget"], json!(900_000_000));
    assert_eq!(info["scratch"], json!("/scratch"));
    assert!(info["deadline_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn f01_everybody_who_waits_gets_the_same_outcome() {
    let (host, _) = fixture().await;
    let task = start(&host, "wait", json!({"key": "go"})).await;
    parked(&task, 1).await;
    let (one, two) = (task.clone(), host.task(task.id()).expect("the task is known by its id"));
    let both =
        async { tokio::join!(one.wait(), two.wait(), task.cancel(taskcell::CancelRequest::force(Party::Host, "x"))) };
    let (first, second, _) = within(both).await;
    assert_eq!(first, second);
    assert_eq!(task.wait().await, first);
}

#[tokio::test]
async fn r3a_an_outcome_that_the_host_sets_ends_a_busy_loop_and_keeps_an_end_that_was_there() {
    let (host, _) = fixture().await;
    let (busy, done) = (start(&host, "spin", json!(null)).await, start(&host, "echo", json!("mine")).await);
    reported(&busy).await;
    let elsewhere = Outcome::Failed(Failure::new(FailureKind::Guest, "the build was removed"));
    assert_eq!(within(busy.set_outcome(elsewhere.clone(), Party::Agent)).await, ControlAnswer::Done);
    assert_eq!(outcome(&busy).await, elsewhere);
    let finished = events(&busy).await.pop().map(|event| event.body);
    assert!(matches!(finished, Some(EventBody::Finished { set_by: Some(Party::Agent), .. })), "{finished:?}");
    // The cell is gone too, in the middle of its loop.
    within(busy.gone()).await;
    let own = outcome(&done).await;
    assert_eq!(within(done.set_outcome(elsewhere, Party::Host)).await, ControlAnswer::AlreadyEnded(own));
}
