//! T43: JSON that is short as text and takes a hundred times its room once the host has made values of it.

use serde_json::{Value, json};
use taskcell::{Grants, Host, HostFunction, StartRequest, TaskHandle};

use crate::support::alone::alone;
use crate::support::oracle::Watched;
use crate::support::task::{data, outcome, start_as};
use crate::support::{builder, request};

/// What takes JSON from a running guest, and is not asked about.
const WAYS: [&str; 4] = ["notify", "notify-scope", "start-task", "call-host"];
/// A little less than may cross as text, and 350 MiB once they are made: more than the process may grow by.
const TOO_MANY: usize = 500_000;
/// As many as may be: twice as many values, and the list.
const MOST: usize = 49_999;

async fn watched() -> Watched {
    Watched::with(builder().provide(HostFunction::new("swallow"), async |_| Ok(Value::Null))).await
}

fn hand_over(by: &str, objects: usize, times: u32) -> StartRequest {
    let grants = Grants::default().function("swallow");
    request("hand-over", json!({"by": by, "objects": objects, "times": times})).grants(grants)
}

#[test]
fn t43_what_a_guest_hands_over_is_counted_before_anything_is_made_of_it() {
    alone(|| async {
        let watched = watched().await;
        watched
            .withstands(async |beside| {
                let mut tasks = Vec::new();
                for by in WAYS {
                    let task = start_as(beside.host, hand_over(by, TOO_MANY, 2)).await;
                    assert_eq!(data(outcome(&task).await), json!(["too-large", "too-large"]), "{by}");
                    tasks.push(task);
                }
                tasks
            })
            .await;
    });
}

#[test]
fn t43_the_largest_values_that_are_taken_do_not_add_up() {
    alone(|| async {
        let watched = watched().await;
        // What malloc keeps of the first ones it has for the next.
        most_values(&watched.host).await;
        watched.withstands(async |beside| most_values(beside.host).await).await;
    });
}

async fn most_values(host: &Host) -> Vec<TaskHandle> {
    // A function is done with each, and a mailbox counts what is made of them and not the text alone.
    let swallowed = start_as(host, hand_over("call-host", MOST, 20)).await;
    assert_eq!(data(outcome(&swallowed).await), json!(vec!["ok"; 20]));
    let kept = start_as(host, hand_over("notify", MOST, 20)).await;
    assert_eq!(data(outcome(&kept).await), json!(vec!["full"; 20]));
    vec![swallowed, kept]
}
