//! Starts against each other, against a stop of all, against the end of the key's last task, and against the host's end.

use std::time::Duration;

use serde_json::json;

use super::steps::{keyed, narrow, nothing_is_left, orders, race, settle};
use crate::model::outcome::{CellEnd, GuestOutcome, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::runtime::handle::TaskHandle;
use crate::runtime::start_error::StartError;
use crate::runtime::stopping::StopScope;
use crate::runtime::tests::bench::{Bench, key, log, request, script, success, wait_for};

const DEADLINE: Duration = Duration::from_secs(10);

fn bench() -> Bench {
    narrow(script(|link| async move {
        if wait_for(&link, "go", None).await == "Cancelled" {
            return CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None });
        }
        success(json!("done"))
    }))
}

#[tokio::test]
async fn t45_of_two_starts_of_one_key_one_is_the_task_and_the_other_nothing() {
    for order in orders(6) {
        let bench = bench();
        let (one, other) =
            race(&order, Box::pin(bench.inner.start(keyed())), Box::pin(bench.inner.start(keyed()))).await;
        let task = match (one, other) {
            (Ok(task), Err(StartError::KeyInUse { .. })) | (Err(StartError::KeyInUse { .. }), Ok(task)) => task,
            (one, other) => panic!("{one:?}, {other:?}: {order:?}"),
        };
        settle().await;
        assert_eq!(bench.inner.registry.known(), 1, "{order:?}");
        task.notify(key("go"), None, Party::Host).await;
        task.wait().await;
        assert_eq!(bench.inputs.lock().unwrap().len(), 1, "{order:?}");
        nothing_is_left(&bench, &order).await;
    }
}

#[tokio::test]
async fn t45_a_start_against_the_end_of_the_last_task_of_its_key() {
    let mut seen = [0; 2];
    for order in orders(6) {
        let bench = bench();
        let first = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        let ends = first.notify(key("go"), None, Party::Host);
        let (started, _) = race(&order, bench.inner.start(keyed()), ends).await;
        seen[usize::from(started.is_ok())] += 1;
        assert!(matches!(first.wait().await, Outcome::Succeeded { .. }), "{order:?}");
        match started {
            Ok(second) => {
                assert_ne!(second.id(), first.id());
                settle().await;
                assert!(second.state().outcome.is_none(), "the first one's end is not the second's: {order:?}");
                second.notify(key("go"), None, Party::Host).await;
                second.wait().await;
                log(&second).await;
            }
            Err(StartError::KeyInUse { .. }) => {}
            Err(other) => panic!("{other:?}: {order:?}"),
        }
        nothing_is_left(&bench, &order).await;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both come first in some order: {seen:?}");
}

#[tokio::test]
async fn t45_a_start_against_a_stop_of_all_is_stopped_or_untouched() {
    let mut seen = [0; 2];
    for order in orders(6) {
        let bench = bench();
        // One that is there already, and for whose end the new one has to wait.
        let before = bench.inner.start(request()).await.unwrap();
        settle().await;
        let stop = bench.inner.stop_all(&StopScope::All, CancelRequest::new(Party::Person, "enough"), DEADLINE);
        let (task, report) = race(&order, bench.inner.start(keyed()), stop).await;
        let task = task.unwrap();
        assert!(report.is_complete(), "{order:?}");
        let stopped = |task: &TaskHandle| report.tasks.iter().find(|stopped| stopped.id == task.id());
        assert_eq!(stopped(&before).unwrap().outcome, before.state().outcome, "{order:?}");
        settle().await;
        let state = task.state();
        match stopped(&task) {
            Some(stopped) => assert_eq!(stopped.outcome, state.outcome, "{order:?}"),
            None => assert!(state.outcome.is_none() && state.cancel.is_none(), "it is not touched: {order:?}"),
        }
        seen[usize::from(stopped(&task).is_some())] += 1;
        task.notify(key("go"), None, Party::Host).await;
        task.wait().await;
        log(&task).await;
        nothing_is_left(&bench, &order).await;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both come first in some order: {seen:?}");
}

#[tokio::test]
async fn t45_a_start_against_a_shutdown_is_refused_or_ends_with_the_host() {
    let mut seen = [0; 2];
    for order in orders(6) {
        let bench = bench();
        let (started, ()) = race(&order, bench.inner.start(keyed()), bench.inner.shut_down()).await;
        seen[usize::from(started.is_ok())] += 1;
        match started {
            Ok(task) => {
                let outcome = task.wait().await;
                assert!(matches!(outcome, Outcome::Cancelled { by: Party::Host, .. }), "{outcome}: {order:?}");
                log(&task).await;
            }
            Err(StartError::ShuttingDown) => {}
            Err(other) => panic!("{other:?}: {order:?}"),
        }
        bench.inner.shut_down().await;
        nothing_is_left(&bench, &order).await;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both come first in some order: {seen:?}");
}

#[tokio::test]
async fn t45_a_cancel_against_a_turn_that_comes_gives_the_turn_on() {
    for order in orders(6) {
        let bench = bench();
        let first = bench.inner.start(request()).await.unwrap();
        let second = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        // The first ends, and with that the second's turn comes, while somebody calls the second off.
        let ends = first.notify(key("go"), None, Party::Host);
        let cancel = second.cancel(CancelRequest::force(Party::Person, "enough"));
        race(&order, ends, cancel).await;
        assert!(matches!(second.wait().await, Outcome::Cancelled { .. }), "{order:?}");
        assert!(matches!(first.wait().await, Outcome::Succeeded { .. }), "{order:?}");
        nothing_is_left(&bench, &order).await;
    }
}
