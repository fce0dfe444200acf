//! Results that are too large to be handed over as they are.

use serde_json::{Value, json};

use super::bench::{Bench, log, request, script, success};
use crate::model::event::EventBody;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::oversize::{Oversize, OversizePolicy};
use crate::model::request::StartRequest;
use crate::runtime::handle::TaskHandle;

fn large() -> Value {
    json!("€".repeat(10_000))
}

/// Runs a task whose result is large.
async fn run(request: StartRequest) -> TaskHandle {
    let bench = Bench::new(script(|_| async { success(large()) }));
    let task = bench.inner.start(request).await.unwrap();
    task.wait().await;
    task.gone().await;
    task
}

async fn failure(request: StartRequest) -> Failure {
    let outcome = run(request).await.wait().await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    failure
}

async fn data(task: &TaskHandle) -> Value {
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = outcome else { panic!("{outcome:?}") };
    data
}

fn over(policy: OversizePolicy) -> StartRequest {
    request().oversize(Oversize::new(policy).inline_bytes(1000))
}

#[tokio::test]
async fn r45_a_result_is_stored_and_a_reference_handed_over() {
    let task = run(over(OversizePolicy::Store)).await;
    let data = data(&task).await;
    let artifact = task.state().artifacts.remove(0);
    assert_eq!((artifact.name.as_str(), artifact.media_type.as_str()), ("result.json", "application/json"));
    assert_eq!(data["stored"], json!({"artifact": 1, "size": artifact.size, "sha256": artifact.sha256}));
    assert!(data["preview"].as_str().unwrap().starts_with("\"€€") && data.to_string().len() <= 1000);
    let stored: Value = serde_json::from_slice(&task.read_artifact(1).await.unwrap()).unwrap();
    assert_eq!(stored, large());
    // It is in the log before the end, which tells it once.
    let bodies: Vec<_> = log(&task).await.into_iter().map(|event| event.body).collect();
    assert!(matches!(&bodies[bodies.len() - 2..], [EventBody::ArtifactAttached(_), EventBody::Finished { .. }]));
}

#[tokio::test]
async fn r45_a_result_is_clipped_where_a_character_ends() {
    let task = run(over(OversizePolicy::Clip)).await;
    let data = data(&task).await;
    assert_eq!((&data["clipped"], &data["size"]), (&json!(true), &json!(large().to_string().len())));
    assert!(large().to_string().starts_with(data["text"].as_str().unwrap()) && data.to_string().len() <= 1000);
}

#[tokio::test]
async fn r45_a_result_that_nothing_is_said_about_fails() {
    let failed = failure(over(OversizePolicy::Fail)).await;
    assert_eq!((failed.kind, failed.limit.as_deref()), (FailureKind::OutputLimit, Some("result_bytes")));
}

#[tokio::test]
async fn r45_a_result_that_cannot_be_stored_fails() {
    let full = [
        LimitsRequest { artifacts: Some(0), ..LimitsRequest::default() },
        LimitsRequest { artifact_bytes: Some(1000), ..LimitsRequest::default() },
        LimitsRequest { log_events: Some(0), ..LimitsRequest::default() },
    ];
    for limits in full {
        let failed = failure(over(OversizePolicy::Store).limits(limits)).await;
        assert_eq!(failed.kind, FailureKind::OutputLimit);
        assert!(failed.message.contains("could not be stored"), "{}", failed.message);
    }
}

#[tokio::test]
async fn r45_the_whole_result_is_held_against_the_schema() {
    let wants = over(OversizePolicy::Clip).output_schema(json!({"maxLength": 999}));
    assert_eq!(failure(wants).await.kind, FailureKind::Guest);
    let wants = over(OversizePolicy::Clip).output_schema(json!({"minLength": 10_000}));
    assert_eq!(data(&run(wants).await).await["clipped"], true);
}
