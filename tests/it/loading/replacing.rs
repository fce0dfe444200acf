//! Plugins that are replaced and unloaded, with real code.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{
    EventBody, Host, Outcome, Party, ReplaceError, SimulatedClock, StartError, StartRequest, TaskHandle, Unload,
};

use crate::support::component::{Handmade, outcome_of};
use crate::support::imports;
use crate::support::task::{data, outcome, parked, seen, start, start_as, started};
use crate::support::{builder, guest, request, uncached, with_fixture, within};

/// A version of a plugin whose task says which one it is; the second asks for more.
fn version(number: u32) -> Handmade {
    let requests = if number > 1 { r#","requests":[{"capability":"kv"}]"# } else { "" };
    let manifest =
        format!(r#"{{"manifest":1,"name":"made","version":"{number}.0.0","tasks":[{{"name":"go"}}]{requests}}}"#);
    // Succeeded, with the text of one digit as its data.
    let said = outcome_of(&[(12, 1), (16, 2600), (20, 1)]);
    Handmade::new("made").manifest(manifest).field(&format!(r#"(data (i32.const 2600) "{number}")"#)).run(said)
}

async fn go(host: &Host) -> TaskHandle {
    start_as(host, StartRequest::new("made", "go")).await
}

#[tokio::test]
async fn r36_a_replaced_plugin_runs_its_new_code() {
    let host = uncached();
    within(host.load_plugin_bytes("made", version(1).bytes())).await.unwrap();
    assert_eq!(data(outcome(&go(&host).await).await), json!(1));
    let replaced = within(host.replace_plugin_bytes("made", version(2).bytes(), Unload::Force)).await.unwrap();
    assert_eq!(replaced.plugin.manifest().version, "2.0.0");
    assert_eq!(data(outcome(&go(&host).await).await), json!(2));
    // What it would like to have more is said, and given by nobody.
    assert_eq!(replaced.plugin.manifest().requests.len(), 1);
    assert_eq!(host.plugins().len(), 1);
    // And back, with code that was there before.
    within(host.replace_plugin_bytes("made", version(1).bytes(), Unload::Force)).await.unwrap();
    assert_eq!(data(outcome(&go(&host).await).await), json!(1));
}

#[tokio::test]
async fn r36_a_new_version_that_cannot_be_loaded_changes_nothing() {
    let host = uncached();
    within(host.load_plugin_bytes("made", version(1).bytes())).await.unwrap();
    let broken: [Vec<u8>; 3] =
        [b"no plugin at all".to_vec(), version(2).manifest("{}").bytes(), version(2).describe("unreachable").bytes()];
    for bytes in broken {
        let error = within(host.replace_plugin_bytes("made", bytes, Unload::Force)).await.unwrap_err();
        assert!(matches!(error, ReplaceError::Load(_)), "{error:?}");
    }
    let error = within(host.replace_plugin(guest("hello"), Unload::Force)).await.unwrap_err();
    assert_eq!(error.to_string(), r#"no plugin is called "hello"; loaded: made"#);
    assert_eq!(host.plugins()[0].manifest().version, "1.0.0");
    assert_eq!(data(outcome(&go(&host).await).await), json!(1));
}

#[tokio::test]
async fn r36_a_running_task_keeps_its_code_to_its_end() {
    let host = uncached();
    let waits = "(call $wait (i32.const 2500) (i32.const 2) (i32.const 0) (i64.const 0) (i32.const 2048))";
    let old = version(1).imports(&imports::SIGNALS).field(r#"(data (i32.const 2500) "go")"#);
    let old = old.run(format!("{waits} {}", outcome_of(&[(12, 1), (16, 2600), (20, 1)])));
    within(host.load_plugin_bytes("made", old.bytes())).await.unwrap();
    let task = go(&host).await;
    parked(&task, 1).await;
    let drain = Unload::Drain { deadline: Duration::from_hours(1) };
    let replacing = host.replace_plugin_bytes("made", version(2).bytes(), drain);
    let meanwhile = async {
        while host.plugins()[0].manifest().version == "1.0.0" {
            tokio::task::yield_now().await;
        }
        assert_eq!(data(outcome(&go(&host).await).await), json!(2), "new ones are new");
        within(task.notify(crate::support::task::key("go"), None, Party::Host)).await;
    };
    let (replaced, ()) = within(Box::pin(async { tokio::join!(replacing, meanwhile) })).await;
    let report = replaced.unwrap().report;
    assert_eq!(report.tasks.len(), 1);
    assert_eq!(data(outcome(&task).await), json!(1), "and this one is old");
    assert!(matches!(report.tasks[0].outcome, Some(Outcome::Succeeded { .. })));
}

#[tokio::test]
async fn r36_an_unloaded_plugin_can_be_loaded_again_and_a_disabled_one_enabled() {
    let host = uncached();
    within(host.load_plugin_bytes("made", version(1).bytes())).await.unwrap();
    assert!(within(host.set_plugin_enabled("made", false)).await.unwrap());
    assert_eq!(host.plugin_is_enabled("made"), Some(false));
    let refused = within(host.start(StartRequest::new("made", "go"))).await;
    assert!(matches!(refused, Err(StartError::PluginDisabled { .. })));
    within(host.unload_plugin("made", Unload::Force)).await.unwrap();
    assert_eq!(host.plugin_is_enabled("made"), None);
    within(host.load_plugin_bytes("made", version(1).bytes())).await.unwrap();
    assert_eq!(host.plugin_is_enabled("made"), Some(true), "a new beginning");
    assert_eq!(data(outcome(&go(&host).await).await), json!(1));
}

#[tokio::test]
async fn r36_tasks_of_a_plugin_that_goes_end_by_themselves_or_are_stopped_after_the_grace() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = with_fixture(builder().clock(clock.clone())).await;
    let polite = start(&host, "wait", json!({"key": "go"})).await;
    parked(&polite, 1).await;
    let deaf = start(&host, "spin", json!(null)).await;
    started(&deaf).await;
    // Its own code runs: before that it would see that it shall stop.
    while deaf.state().usage.fuel < 10_000_000 {
        tokio::task::yield_now().await;
    }
    let unloading = host.unload_plugin("fixture", Unload::Cancel { grace: Duration::from_secs(5) });
    let meanwhile = async {
        outcome(&polite).await;
        seen(&deaf, |body| matches!(body, EventBody::CancelRequested(_))).await;
        assert_eq!(deaf.state().outcome, None, "it has its grace");
        clock.advance(Duration::from_secs(5));
    };
    let (report, ()) = within(Box::pin(async { tokio::join!(unloading, meanwhile) })).await;
    let report = report.unwrap();
    assert!(report.is_complete() && report.tasks.len() == 2 && report.forced() == 1, "{report:?}");
    let (ended, stopped) = (outcome(&polite).await, outcome(&deaf).await);
    assert_eq!(data(ended), json!({"result": "cancelled"}), "it ended by itself, in its own words");
    assert!(matches!(stopped, Outcome::Cancelled { by: Party::Host, forced: true, .. }), "{stopped:?}");
    let refused = within(host.start(request("echo", json!(1)))).await;
    assert!(
        matches!(refused, Err(StartError::UnknownPlugin { .. } | StartError::PluginUnloading { .. })),
        "{refused:?}"
    );
}
