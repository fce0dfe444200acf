//! A machine whose date is a year off, or is set while tasks run: nothing is decided by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, log, request, script, settle, success, wait_for};
use super::schedules::Skewed;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;

const SECOND: Duration = Duration::from_secs(1);
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

#[tokio::test]
async fn t43_deadlines_waits_and_graces_do_not_look_at_the_date() {
    for (at_first, then) in [(0, YEAR_MS), (2 * YEAR_MS, YEAR_MS), (YEAR_MS, 0)] {
        let mut bench = Bench::new(script(|link| async move {
            match wait_for(&link, "never", Some(SECOND * 30)).await {
                word if word == "Cancelled" => std::future::pending().await,
                word => success(json!(word)),
            }
        }));
        let clock = Arc::new(Skewed { clock: Arc::clone(&bench.clock), millis: AtomicI64::new(at_first) });
        bench.around_mut().clock = Arc::clone(&clock) as _;
        let late = bench.inner.start(request().timeout(SECOND * 20)).await.unwrap();
        let waits = bench.start().await;
        let stopped = bench.start().await;
        settle().await;
        stopped.cancel(CancelRequest::new(Party::Person, "enough").grace(SECOND * 10)).await;
        bench.advance(SECOND * 5).await;
        clock.millis.store(then, Ordering::SeqCst);
        settle().await;
        bench.advance(SECOND * 4).await;
        for task in [&late, &waits, &stopped] {
            assert_ne!(task.state().phase, Phase::Ended, "from {at_first} to {then}");
        }
        bench.advance(SECOND).await;
        let Outcome::Cancelled { forced, .. } = stopped.wait().await else { panic!("it was stopped") };
        assert!(forced && late.state().phase == Phase::Running);
        bench.advance(SECOND * 10).await;
        assert!(matches!(late.wait().await, Outcome::Failed(Failure { kind: FailureKind::Timeout, .. })));
        assert_eq!(waits.state().phase, Phase::Running);
        bench.advance(SECOND * 10).await;
        let Outcome::Succeeded { data: Some(data), .. } = waits.wait().await else { panic!("it was told") };
        assert_eq!(data, json!("TimedOut"));
        // The log has the dates as they were told, also where they go back; its order is by itself.
        for task in [&late, &waits, &stopped] {
            let dates: Vec<_> = log(task).await.iter().map(|event| event.at).collect();
            assert_eq!(dates.is_sorted(), then > at_first, "from {at_first} to {then}: {dates:?}");
        }
    }
}
