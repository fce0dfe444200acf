//! Fuel, and signs of life, with simulated time.

use std::time::Duration;

use taskcell_guest::testing::{FakeHost, Progress};
use taskcell_guest::{FuelError, RefusalKind, Refused, TaskCtl, TaskError};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn fuel_is_used_at_each_look_and_never_below_nothing() {
    let host = FakeHost::new();
    assert_eq!(host.ctl().fuel_remaining(), 1_000_000_000);
    host.set_fuel(100);
    host.burn_at_each_look(40);
    let ctl = host.ctl();
    let looks: Vec<u64> = (0..4).map(|_| ctl.fuel_remaining()).collect();
    assert_eq!(looks, [60, 20, 0, 0]);
    assert_eq!((host.fuel_used(), host.fuel_budget(), ctl.info().fuel_budget), (100, 100, 100));
}

#[test]
fn what_is_granted_is_added_though_it_is_less_than_asked_for() {
    let host = FakeHost::new();
    host.set_fuel(100);
    host.grant_fuel_after(20 * SECOND, 30);
    let ctl = host.ctl();
    assert_eq!(ctl.request_fuel(50, "to finish"), Ok(30));
    assert_eq!((ctl.fuel_remaining(), host.fuel_budget(), ctl.info().fuel_budget), (130, 130, 130));
    assert_eq!(host.elapsed(), 20 * SECOND);
    let request = host.fuel_requests().remove(0);
    assert_eq!((request.units, request.reason.as_str(), request.timeout), (50, "to finish", None));
    assert_eq!(request.answer, Ok(30));
}

#[test]
fn a_no_is_told_with_its_reason() {
    let host = FakeHost::new();
    host.refuse_fuel_after(SECOND, "too dear");
    let ctl = host.ctl();
    let refused = ctl.request_fuel(50, "to finish").unwrap_err();
    assert_eq!(refused, FuelError::Denied("too dear".to_owned()));
    assert_eq!(refused.to_string(), "no more fuel: too dear");
    assert_eq!((ctl.fuel_remaining(), host.elapsed()), (1_000_000_000, SECOND));
}

#[test]
fn answers_are_for_one_request_each_and_in_order() {
    let host = FakeHost::new();
    host.grant_fuel(1);
    host.refuse_fuel("no");
    host.grant_fuel(2);
    let ctl = host.ctl();
    let answers = [(); 3].map(|()| ctl.request_fuel(10, "more"));
    assert_eq!(answers, [Ok(1), Err(FuelError::Denied("no".to_owned())), Ok(2)]);
}

#[test]
fn a_request_takes_its_timeout_and_a_late_answer_is_lost() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    host.grant_fuel_after(5 * SECOND, 10);
    assert_eq!(ctl.request_fuel_within(10, "more", 3 * SECOND), Err(FuelError::TimedOut));
    assert_eq!((host.elapsed(), host.fuel_budget()), (3 * SECOND, 1_000_000_000));
    assert_eq!(ctl.request_fuel_within(10, "more", Duration::ZERO), Err(FuelError::TimedOut));
    assert_eq!(host.elapsed(), 3 * SECOND);
    host.grant_fuel_after(5 * SECOND, 10);
    assert_eq!(ctl.request_fuel_within(10, "more", 6 * SECOND), Ok(10));
    assert_eq!(host.elapsed(), 8 * SECOND);
}

#[test]
fn a_cancel_ends_a_request_and_the_task_as_cancelled() {
    let asks = |ctl: &TaskCtl, (): ()| -> Result<u64, TaskError> { Ok(ctl.request_fuel(10, "more")?) };
    let host = FakeHost::new();
    host.cancel_after(2 * SECOND, "enough");
    host.grant_fuel_after(4 * SECOND, 10);
    assert_eq!(host.run(asks, ()), Err(TaskError::cancelled("stopped while waiting for more fuel")));
    assert_eq!(host.elapsed(), 2 * SECOND);

    // From then on, every request.
    host.grant_fuel(10);
    assert!(matches!(host.ctl().request_fuel(10, "more"), Err(FuelError::Cancelled(_))));
    assert_eq!(host.fuel_budget(), 1_000_000_000);
}

#[test]
fn a_request_for_nothing_is_refused_and_takes_no_answer() {
    let host = FakeHost::new();
    host.grant_fuel(10);
    let refused = host.ctl().request_fuel(0, "nothing").unwrap_err();
    let is_invalid = |refused: &Refused| refused.kind == RefusalKind::InvalidArgument;
    assert!(matches!(&refused, FuelError::Refused(refused) if is_invalid(refused)), "{refused:?}");
    assert_eq!(host.ctl().request_fuel(1, "more"), Ok(10));
    assert!(is_invalid(host.fuel_requests()[0].answer.as_ref().unwrap_err()));
}

#[test]
fn a_request_that_would_never_end_is_explained() {
    let text = FakeHost::new().ctl().request_fuel(1, "more").unwrap_err().to_string();
    assert!(text.contains("asks for fuel without a timeout, and the test answers nothing"), "{text}");
}

#[test]
fn progress_goes_back_only_when_it_begins_anew() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    for percent in [None, Some(50), Some(30), None, Some(60)] {
        ctl.report_progress("first", percent).unwrap();
    }
    ctl.restart_progress("once more").unwrap();
    ctl.report_progress("second", 10).unwrap();
    let percents: Vec<Option<u8>> = host.progress().iter().map(|report| report.percent).collect();
    assert_eq!(percents, [None, Some(50), Some(50), Some(50), Some(60), Some(0), Some(10)]);
    let restarted = Progress { message: "once more".to_owned(), percent: Some(0), restarted: true };
    assert_eq!(host.progress()[5], restarted);
    assert_eq!(host.progress().iter().filter(|report| report.restarted).count(), 1);
}

#[test]
fn a_new_beginning_is_the_last_word_too() {
    let host = FakeHost::new();
    host.run(|ctl, ()| Ok(ctl.restart_progress("once more")?), ()).unwrap();
    assert_eq!(host.summary().as_deref(), Some("once more"));
}

#[test]
fn signs_of_life_are_counted() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    for _ in 0..3 {
        ctl.heartbeat();
    }
    assert_eq!((host.heartbeats(), host.elapsed()), (3, Duration::ZERO));
}
