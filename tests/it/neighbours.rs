//! What one task does to those beside it: nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use taskcell::{Access, Attachment, Clock, Grants, Host, Outcome, StartRequest, SystemClock, Timestamp};

use crate::support::task::{data, forced, outcome, please_stop, reported, result, start, start_as, started};
use crate::support::{builder, fixture, request, with_fixture, within};

/// Ends a task's loop at once.
fn now() -> taskcell::CancelRequest {
    please_stop().grace(Duration::ZERO)
}

#[tokio::test]
async fn r33_a_busy_loop_is_cancelled_and_its_neighbour_goes_on_to_its_end() {
    let (host, _) = fixture().await;
    let busy = start(&host, "spin", json!(null)).await;
    started(&busy).await;
    let neighbour = start(&host, "steps", json!({"n": 2000})).await;
    reported(&neighbour).await;
    within(busy.cancel(now())).await;
    assert_eq!(outcome(&busy).await, forced());
    assert_eq!(data(outcome(&neighbour).await), json!({"done": 2000, "stopped": false}));
}

#[tokio::test]
async fn t46_a_cell_is_as_new_for_every_task() {
    let (host, _) = with_fixture(builder().running_max(2)).await;
    for round in 0..20 {
        // Each dirties its memory, and the next sees none of it; a place is never lost.
        assert_eq!(result(&host, "allocate", json!({"mib": 8})).await, json!(8 << 20));
        let trapped = start(&host, "trap", json!(null)).await;
        assert!(matches!(outcome(&trapped).await, Outcome::Failed(_)), "{round}");
    }
    assert_eq!(result(&host, "echo", json!("fresh")).await, json!("fresh"));
}

/// The machine's clocks, and how often somebody on a guests' worker has asked for the date: only guests do that there.
#[derive(Debug, Default)]
struct Whereabouts {
    clock: SystemClock,
    on_workers: AtomicU32,
}

impl Clock for Whereabouts {
    fn date(&self) -> Timestamp {
        if std::thread::current().name() == Some("taskcell-guest") {
            self.on_workers.fetch_add(1, Ordering::Relaxed);
        }
        self.clock.date()
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }

    fn sleep_until(&self, until: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep_until(until)
    }
}

/// How often a task that asks for the date once has asked on a worker.
async fn asked_on_workers(whereabouts: &Whereabouts, host: &Host, request: StartRequest) -> u32 {
    let before = whereabouts.on_workers.load(Ordering::Relaxed);
    assert!(data(outcome(&start_as(host, request).await).await).is_number());
    whereabouts.on_workers.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn a_guest_that_may_touch_the_disk_has_its_turns_on_the_workers_alone() {
    let whereabouts = Arc::new(Whereabouts::default());
    let (host, _) = with_fixture(builder().clock(Arc::clone(&whereabouts) as Arc<dyn Clock>)).await;
    let time = || request("time", json!(null));
    let folder = tempfile::tempdir().unwrap();
    let granted = || time().grants(Grants::default().dir(folder.path(), "/data", Access::Read));
    let sent = || time().attachment(Attachment::bytes("in.txt", "hello"));
    for _ in 0..20 {
        assert_eq!(asked_on_workers(&whereabouts, &host, granted()).await, 1);
        assert_eq!(asked_on_workers(&whereabouts, &host, sent()).await, 1);
    }
    // Others have short turns beside their actors: one of them at least, however slow the machine is.
    let mut plain = 0;
    while asked_on_workers(&whereabouts, &host, time()).await > 0 {
        plain += 1;
        assert!(plain < 1000, "no guest has ever had a turn beside its actor");
    }
}
