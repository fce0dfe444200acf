//! T10: progress that is no progress, and a flood of it.

use serde_json::json;
use taskcell::{EventBody, FailureKind, Outcome, StartRequest};

use crate::support::alone::alone;
use crate::support::component::Handmade;
use crate::support::imports;
use crate::support::oracle::Watched;
use crate::support::request;
use crate::support::task::{data, events, failed, outcome, start, start_as};

#[test]
fn t10_a_percent_over_100_is_refused_and_the_task_goes_on() {
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let mut tasks = Vec::new();
                for percent in [101, 255] {
                    let task = start(beside.host, "progress", json!({"percent": percent})).await;
                    assert_eq!(data(outcome(&task).await), json!("invalid-argument"));
                    assert_eq!(task.state().progress, None);
                    tasks.push(task);
                }
                tasks
            })
            .await;
    });
}

#[test]
fn t10_a_percent_that_is_no_number_is_a_trap_or_a_refusal_and_never_shown() {
    // A percent has eight bits; the guest's number has 32, here those of a NaN.
    let call = "(call $progress (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.reinterpret_f32 (f32.const nan:0x7fffff)) (i32.const 2048))";
    let plugin = Handmade::new("made").imports(&imports::TASK).run(format!("{call} (i32.const 1024)"));
    alone(|| async {
        let watched = Watched::new().await;
        watched.load(&plugin).await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, StartRequest::new("made", "go")).await;
                match outcome(&task).await {
                    Outcome::Succeeded { .. } => {}
                    other => drop(failed(other, FailureKind::Trap)),
                }
                assert_eq!(task.state().progress, None);
                vec![task]
            })
            .await;
    });
}

#[test]
fn t10_a_million_reports_are_merged_and_the_last_one_is_told() {
    const REPORTS: u64 = 1_000_000;
    alone(|| async {
        let watched = Watched::new().await;
        watched
            .withstands(async |beside| {
                let task = start_as(beside.host, request("progress-flood", json!({"n": REPORTS}))).await;
                beside.goes_on().await;
                assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
                let (mut told, mut merged) = (0, 0);
                for event in events(&task).await {
                    if let EventBody::Progress { merged: more, .. } = event.body {
                        told += 1;
                        merged += more;
                    }
                }
                assert_eq!(told + merged, REPORTS, "none is lost, and most are merged");
                // 20 in a second: even a very slow machine is not at it for an hour.
                assert!(told < 20 * 3600, "{told}");
                let last = task.state().progress.expect("it reported");
                assert_eq!(last.message, format!("report {REPORTS}"));
                vec![task]
            })
            .await;
    });
}
