//! T12: a disk that does not answer. A thousand guests wait for it, and nobody else does.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;
use taskcell::{Access, Attachment, CancelAnswer, Grants, Outcome};
use tokio::sync::watch;

use crate::support::alone::alone;
use crate::support::files::write;
use crate::support::oracle::{Bounds, Watched};
use crate::support::task::{data, outcome, please_stop, start_as, started, stdout};
use crate::support::{builder, guest, request, within};

const GUESTS: usize = 1000;
/// Threads that work on guests' files at once.
const THREADS: usize = 64;
/// A thousand guests with their memories, and what the pool keeps of those for the next ones.
const FOR_ALL: Bounds = Bounds { at_most: 2 << 30, left_over: GUESTS as u64 * (512 << 10) };

/// Where the threads stand that would open a file for a guest.
#[derive(Default)]
struct Gate {
    /// How many have come.
    came: watch::Sender<usize>,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Waits until the gate is open.
    fn pass(&self) {
        self.came.send_modify(|came| *came += 1);
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn t12_a_disk_that_does_not_answer_holds_up_nobody_but_those_who_wait_for_it() {
    alone(|| async {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("in.txt"), "inside");
        let gate = Arc::new(Gate::default());
        let watched = Watched::with(builder().running_max(1200)).await;
        let at_gate = Arc::clone(&gate);
        fail::cfg_callback("guest.file", move || at_gate.pass()).unwrap();
        watched
            .withstands_within(FOR_ALL, async |beside| {
                let mut tasks = Vec::new();
                for _ in 0..GUESTS {
                    let read = request("read", json!({"path": "/data/in.txt"}));
                    let granted = Grants::default().dir(folder.path(), "/data", Access::Read);
                    tasks.push(start_as(beside.host, read.grants(granted)).await);
                }
                for task in &tasks {
                    started(task).await;
                }
                within(gate.came.subscribe().wait_for(|came| *came >= THREADS)).await.unwrap();

                // Guests go on, and so does what the host does where threads may block.
                beside.goes_on_while(&tasks[1]).await;
                within(beside.host.inspect_plugin(guest("hello"))).await.unwrap();
                let along = request("print", json!({"stdout": "printed", "stderr": ""}));
                let printed = start_as(beside.host, along.attachment(Attachment::bytes("in.txt", "along"))).await;
                assert!(matches!(outcome(&printed).await, Outcome::Succeeded { .. }));
                assert!(stdout(&printed).await.contains("printed"));
                let stop = please_stop().grace(Duration::ZERO);
                assert_eq!(within(tasks[0].cancel(stop)).await, CancelAnswer::Requested);
                assert!(matches!(outcome(&tasks[0]).await, Outcome::Cancelled { forced: true, .. }));
                assert_eq!(*gate.came.borrow(), THREADS, "no further thread is held up");

                // Whoever waited for the disk has only waited.
                gate.open();
                for task in &tasks[1..] {
                    assert_eq!(data(outcome(task).await), json!({"text": "inside"}));
                }
                fail::remove("guest.file");
                tasks.push(printed);
                tasks
            })
            .await;
    });
}
