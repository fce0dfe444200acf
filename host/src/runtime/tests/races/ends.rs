//! Everything that can end a task, against everything else that can.

use std::time::Duration;

use serde_json::json;

use super::steps::{Step, keyed, narrow, nothing_is_left, orders, race, settle};
use crate::model::event::EventBody;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::runtime::handle::{CancelAnswer, ControlAnswer, TaskHandle};
use crate::runtime::tests::bench::{Bench, key, log, script, success, wait_for};

/// What ends a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It has what it waits for, and returns.
    Completes,
    /// It is asked to stop, and does so.
    IsAsked,
    /// It is stopped where it is.
    IsForced,
    /// Somebody knows that it is over elsewhere.
    IsSet,
    /// Its time is over.
    Deadline,
    /// The host shuts down.
    Shutdown,
}

const ENDS: [End; 6] = [End::Completes, End::IsAsked, End::IsForced, End::IsSet, End::Deadline, End::Shutdown];

/// What whoever ended it was told.
#[derive(Debug)]
enum Told {
    Notified(NotifyAnswer),
    Cancel(CancelAnswer),
    Control(ControlAnswer),
    Nothing,
}

fn bench() -> Bench {
    narrow(script(|link| async move {
        let told = wait_for(&link, "go", None).await;
        if told == "Cancelled" {
            return CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None });
        }
        success(json!("done"))
    }))
}

fn elsewhere() -> Outcome {
    Outcome::Failed(Failure::new(FailureKind::Host, "over elsewhere"))
}

async fn bring_about(end: End, bench: &Bench, task: &TaskHandle) -> Told {
    match end {
        End::Completes => Told::Notified(task.notify(key("go"), None, Party::Person).await),
        End::IsAsked => Told::Cancel(task.cancel(CancelRequest::new(Party::Person, "enough")).await),
        End::IsForced => Told::Cancel(task.cancel(CancelRequest::force(Party::Person, "enough")).await),
        End::IsSet => Told::Control(task.set_outcome(elsewhere(), Party::Agent).await),
        End::Deadline => {
            bench.clock.advance(Duration::from_hours(1));
            Told::Nothing
        }
        End::Shutdown => {
            bench.inner.shut_down().await;
            Told::Nothing
        }
    }
}

/// What was said is true, of the one outcome that there is.
fn is_true(told: &Told, end: End, outcome: &Outcome, case: &Case<'_>) {
    match told {
        Told::Cancel(CancelAnswer::AlreadyEnded(told)) | Told::Control(ControlAnswer::AlreadyEnded(told)) => {
            assert_eq!(told, outcome, "{case:?}");
        }
        Told::Cancel(CancelAnswer::Requested) if end == End::IsForced => {
            assert!(matches!(outcome, Outcome::Cancelled { by: Party::Person, .. }), "{outcome}: {case:?}");
        }
        Told::Control(ControlAnswer::Done) => assert_eq!(*outcome, elsewhere(), "{case:?}"),
        Told::Control(ControlAnswer::Unchanged) | Told::Cancel(CancelAnswer::NotFound) => {
            panic!("it was ended or it had ended: {case:?}")
        }
        // Whoever sends the second signal finds it done.
        Told::Notified(NotifyAnswer::NoTask) if case.0 != case.1 => {
            assert!(!matches!(outcome, Outcome::Succeeded { .. }), "{outcome}: {case:?}");
        }
        Told::Notified(_) | Told::Cancel(CancelAnswer::Requested) | Told::Nothing => {}
    }
}

/// Whether an outcome is what this end makes.
fn is_made_by(end: End, outcome: &Outcome) -> bool {
    let elsewhere = elsewhere();
    match (end, outcome) {
        (End::Completes, Outcome::Succeeded { .. }) => true,
        (End::IsAsked, Outcome::Cancelled { by, forced, .. }) => (*by, *forced) == (Party::Person, false),
        (End::IsForced, Outcome::Cancelled { by, .. }) => *by == Party::Person,
        (End::Shutdown, Outcome::Cancelled { by, .. }) => *by == Party::Host,
        // A task that begins just then has not reached its deadline, and its idle time is over.
        (End::Deadline, Outcome::Failed(failure)) => matches!(failure.kind, FailureKind::Timeout | FailureKind::Idle),
        (End::IsSet, outcome) => *outcome == elsewhere,
        (
            End::Completes | End::IsAsked | End::IsForced | End::Shutdown | End::Deadline,
            Outcome::Succeeded { .. } | Outcome::Failed(_) | Outcome::Cancelled { .. },
        ) => false,
    }
}

/// Which ends, of a task that is parked or not, in which order.
type Case<'a> = (End, End, bool, &'a [Step]);

async fn one_end_of(one: End, other: End, parked: bool) {
    for order in orders(4) {
        let case: Case<'_> = (one, other, parked, &order);
        let bench = bench();
        let task = bench.inner.start(keyed()).await.unwrap();
        if parked {
            settle().await;
        }
        let (first, second) = race(&order, bring_about(one, &bench, &task), bring_about(other, &bench, &task)).await;
        settle().await;
        if task.state().outcome.is_none() {
            // The deadline began after the clock was moved.
            assert!([one, other].contains(&End::Deadline), "{case:?}");
            task.cancel(CancelRequest::force(Party::Host, "")).await;
        }
        let outcome = task.wait().await;
        is_true(&first, one, &outcome, &case);
        is_true(&second, other, &outcome, &case);
        // One that was asked to stop, and is stopped by something else then, still says who asked first.
        let asked = [one, other].contains(&End::IsAsked) && matches!(outcome, Outcome::Cancelled { .. });
        let by_hand = matches!(&outcome, Outcome::Cancelled { by: Party::Host, reason, .. } if reason.is_empty());
        let made = is_made_by(one, &outcome) || is_made_by(other, &outcome);
        assert!(made || asked || by_hand, "{outcome:?} is made by neither: {case:?}");
        let events = log(&task).await;
        let Some(EventBody::Finished { outcome: written, .. }) = events.last().map(|event| &event.body) else {
            panic!("{events:?}")
        };
        assert_eq!((&**written, task.state().outcome.as_ref()), (&outcome, Some(&outcome)), "{case:?}");
        nothing_is_left(&bench, &case).await;
    }
}

#[tokio::test]
async fn t45_what_comes_after_the_end_of_a_task_changes_nothing() {
    for one in ENDS {
        for other in ENDS {
            let case: Case<'_> = (one, other, true, &[]);
            let bench = bench();
            let task = bench.inner.start(keyed()).await.unwrap();
            settle().await;
            bring_about(one, &bench, &task).await;
            settle().await;
            let outcome = task.state().outcome.unwrap_or_else(|| panic!("it has ended: {case:?}"));
            assert!(is_made_by(one, &outcome), "{outcome:?}: {case:?}");
            let told = bring_about(other, &bench, &task).await;
            settle().await;
            let late = matches!(
                &told,
                Told::Notified(NotifyAnswer::NoTask)
                    | Told::Cancel(CancelAnswer::AlreadyEnded(_))
                    | Told::Control(ControlAnswer::AlreadyEnded(_))
                    | Told::Nothing
            );
            assert!(late, "{told:?}: {case:?}");
            assert_eq!(task.state().outcome, Some(outcome), "{case:?}");
            nothing_is_left(&bench, &case).await;
        }
    }
}

#[tokio::test]
async fn t45_of_two_ends_of_a_parked_task_the_first_is_its_outcome_in_every_order() {
    for (place, one) in ENDS.into_iter().enumerate() {
        for other in ENDS.into_iter().skip(place) {
            one_end_of(one, other, true).await;
        }
    }
}

#[tokio::test]
async fn t45_of_two_ends_of_a_task_that_is_being_born_the_first_is_its_outcome_in_every_order() {
    for (place, one) in ENDS.into_iter().enumerate() {
        for other in ENDS.into_iter().skip(place) {
            one_end_of(one, other, false).await;
        }
    }
}
