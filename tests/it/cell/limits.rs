//! The limits of a cell, on guests that no compiler would make.

use serde_json::json;
use taskcell::{FailureKind, Host, Limits, LoadError, Outcome, StartRequest};

use crate::support::component::{Handmade, outcome_of};
use crate::support::task::{failed, outcome, please_stop, result, run, start_as, started};
use crate::support::{fixture, uncached, within};

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
async fn t05_endless_recursion_is_a_trap_and_says_so() {
    let (host, _) = fixture().await;
    let told = failed(run(&host, "recurse", json!(null)).await, FailureKind::Trap);
    assert!(told.message.contains("stack"), "{}", told.message);
    assert!(!told.backtrace.is_empty() && told.backtrace.len() <= 32);
    assert_eq!(result(&host, "echo", json!(1)).await, json!(1));
}

#[tokio::test]
async fn t05_a_host_call_with_a_full_stack_is_a_trap() {
    let plugin = Handmade::new("made")
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .field("(func $deep (drop (call $fuel-remaining)) (call $deep) (drop (call $fuel-remaining)))")
        .run("(call $deep) (i32.const 1024)");
    failed(go(&with(&plugin).await).await, FailureKind::Trap);
}

#[tokio::test]
async fn t04_memories_are_counted_together() {
    // Three memories of 60 MiB each: any one is within the limit, two are, all three are not.
    let grow = "(drop (call $a (i32.const 960))) (drop (call $b (i32.const 960))) \
                (if (i32.eq (call $c (i32.const 960)) (i32.const -1)) (then unreachable)) (i32.const 1024)";
    let plugin = ["a", "b", "c"].into_iter().fold(Handmade::new("made"), Handmade::memory).run(grow);
    let host = with(&plugin).await;
    let task = start_as(&host, StartRequest::new("made", "go")).await;
    failed(outcome(&task).await, FailureKind::Memory);
    let peak = task.state().usage.memory_peak_bytes;
    assert!((120 << 20..=128 << 20).contains(&peak), "{peak}");
}

#[tokio::test]
async fn t04_too_many_memories_are_refused_when_the_plugin_is_loaded() {
    let names: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    let in_many_modules = names.iter().fold(Handmade::new("made"), |plugin, name| plugin.memory(name));
    let in_one_module = Handmade::new("made").field(&"(memory 1)".repeat(40));
    for plugin in [in_many_modules, in_one_module] {
        let error = within(uncached().load_plugin_bytes("made", plugin.bytes())).await.unwrap_err();
        assert!(matches!(error, LoadError::TooDemanding(_) | LoadError::Compile(_)), "{error:?}");
        assert!(error.to_string().contains("memories"), "{error}");
    }
}

#[tokio::test]
async fn t04_a_table_over_its_limit_is_refused() {
    let plugin = Handmade::new("made")
        .field("(table $t 10 funcref)")
        .run("(if (i32.eq (table.grow $t (ref.null func) (i32.const 200000)) (i32.const -1)) (then unreachable)) (i32.const 1024)");
    failed(go(&with(&plugin).await).await, FailureKind::Memory);
}

#[tokio::test]
async fn t02_a_storm_of_host_calls_burns_fuel_and_ends() {
    let plugin = Handmade::new("made")
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .run("(loop (drop (call $fuel-remaining)) (br 0)) (i32.const 1024)");
    let host = with(&plugin).await;
    let task = start_as(&host, StartRequest::new("made", "go").fuel(5_000_000)).await;
    failed(outcome(&task).await, FailureKind::OutOfFuel);
    assert!(task.state().usage.host_calls > 10_000);
}

#[tokio::test]
async fn t02_a_storm_of_host_calls_can_be_cancelled() {
    let plugin = Handmade::new("made")
        .task_function("fuel-remaining", "(result u64)", "(result i64)")
        .run("(loop (drop (call $fuel-remaining)) (br 0)) (i32.const 1024)");
    let host = with(&plugin).await;
    let task = start_as(&host, StartRequest::new("made", "go")).await;
    started(&task).await;
    within(task.cancel(please_stop().grace(std::time::Duration::ZERO))).await;
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { forced: true, .. }));
    within(host.shutdown()).await;
}

#[tokio::test]
async fn t01_a_loop_in_realloc_is_stopped() {
    // The host asks for room for the input before `run` is called.
    let plugin = Handmade::new("made").realloc("(loop (br 0)) unreachable");
    failed(go(&with(&plugin).await).await, FailureKind::OutOfFuel);
}

#[tokio::test]
async fn t06_a_result_that_claims_4_gib_does_not_cost_4_gib() {
    // `succeeded`, with data at 0 and a length that no memory has.
    let plugin = Handmade::new("made").run(outcome_of(&[(12, 1), (16, 0), (20, 0x7fff_ffff)]));
    failed(go(&with(&plugin).await).await, FailureKind::Trap);
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
    let limits = Limits { fuel: 20_000_000, ..Limits::default() };
    let host = Host::builder().running_max(4).limits(limits).build().unwrap();
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
