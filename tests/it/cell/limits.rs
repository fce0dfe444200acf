//! The limits of a cell, on guests that no compiler would make.

use taskcell::{FailureKind, Host, Limits, Outcome, StartRequest};

use crate::support::component::{Handmade, outcome_of};
use crate::support::task::{failed, outcome, start_as};
use crate::support::{compiling, uncached, within};

/// A host with this plugin, which is called `made`.
async fn with(plugin: &Handmade) -> Host {
    let host = uncached();
    within(host.load_plugin_bytes("made", plugin.bytes())).await.unwrap();
    host
}

async fn go(host: &Host) -> Outcome {
    outcome(&start_as(host, StartRequest::new("made", "go").fuel(100_000_000)).await).await
}

#[tokio::test]
async fn r2_the_smallest_plugin_runs() {
    let host = with(&Handmade::new("made")).await;
    assert_eq!(go(&host).await, Outcome::Succeeded { message: String::new(), data: None });
}

#[tokio::test]
async fn r2_a_result_that_is_no_json_is_the_guests_failure() {
    let plugin = Handmade::new("made").field(r#"(data (i32.const 2048) "{not json")"#).run(outcome_of(&[
        (12, 1),
        (16, 2048),
        (20, 9),
    ]));
    let told = failed(go(&with(&plugin).await).await, FailureKind::Guest);
    assert!(told.message.contains("not JSON"), "{}", told.message);
}

#[tokio::test]
async fn f17_a_result_that_its_own_schema_forbids_is_the_guests_failure() {
    let manifest = r#"{"manifest":1,"name":"made","version":"1","tasks":[{"name":"go","output":{"type":"string"}}]}"#;
    let plugin = Handmade::new("made").manifest(manifest).field(r#"(data (i32.const 2048) "42")"#).run(outcome_of(&[
        (12, 1),
        (16, 2048),
        (20, 2),
    ]));
    let told = failed(go(&with(&plugin).await).await, FailureKind::Guest);
    assert!(told.message.contains("schema"), "{}", told.message);
}

#[tokio::test]
async fn r1_limits_of_the_manifest_are_the_default_and_those_of_the_host_the_most() {
    let manifest = r#"{"manifest":1,"name":"made","version":"1","tasks":[{"name":"go","limits":{"fuel":5000000}}]}"#;
    let plugin = Handmade::new("made").manifest(manifest).run("(loop (br 0)) (i32.const 1024)");
    let limits = Limits::default().fuel(20_000_000);
    let host = compiling().limits(limits).build().unwrap();
    within(host.load_plugin_bytes("made", plugin.bytes())).await.unwrap();
    let plain = StartRequest::new("made", "go");
    for (request, fuel) in [
        (plain.clone(), 5_000_000),
        (plain.clone().fuel(2_000_000), 2_000_000),
        (plain.clone().fuel(9_000_000), 9_000_000),
        (plain.fuel(u64::MAX), 20_000_000),
    ] {
        let task = start_as(&host, request).await;
        failed(outcome(&task).await, FailureKind::OutOfFuel);
        let used = task.state().usage.fuel;
        assert!(used > fuel / 10 * 9 && used <= fuel, "{used} of {fuel}");
    }
}

#[tokio::test]
async fn r24_text_in_the_outcome_is_the_guests_own() {
    // `cancelled`, with a text.
    let plugin = Handmade::new("made").field(r#"(data (i32.const 2048) "enough")"#).run(outcome_of(&[
        (0, 2),
        (4, 2048),
        (8, 6),
    ]));
    assert!(matches!(
        go(&with(&plugin).await).await,
        Outcome::Cancelled { message, forced: false, .. } if message == "enough"
    ));
}
