//! Hooks of real guests: around a plugin's life, and beside its tasks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{
    CancelRequest, EventBody, FailureKind, Grants, HookLimits, Host, HostBuilder, Outcome, Party, Plugin,
    SimulatedClock, StartRequest, TaskHandle, TaskHook, TaskKey,
};

use crate::support::looks::{Turns, passing};
use crate::support::task::{data, outcome, parked, reported, start_as};
use crate::support::{builder, guest, within};

async fn loaded(builder: HostBuilder) -> (Host, Plugin) {
    let host = builder.build().unwrap();
    let plugin = within(host.load_plugin(guest("hooks"))).await.unwrap();
    (host, plugin)
}

fn behaving(hook: &str, how: &str) -> HostBuilder {
    builder().plugin_config("hooks", json!({ hook: how }))
}

fn request(task_type: &str) -> StartRequest {
    StartRequest::new("hooks", task_type)
}

/// Waits until so many hooks of an ended task were called, and says how each ended.
async fn done(task: &TaskHandle, count: usize) -> Vec<(TaskHook, Option<FailureKind>)> {
    let mut turns = Turns::default();
    loop {
        let events = within(task.after_events()).await.unwrap();
        if events.len() >= count {
            let done = events.into_iter().map(|event| match event.body {
                EventBody::HookDone { hook, error, .. } => (hook, error.map(|error| error.kind)),
                other => panic!("{other:?}"),
            });
            return done.collect();
        }
        turns.next().await;
    }
}

fn hooks(plugin: &Plugin) -> Vec<&'static str> {
    let notes = plugin.notes();
    for note in &notes {
        let line = format!("info taskcell_hooks_guest: {} is here", note.hook);
        assert_eq!(note.log.first(), Some(&line), "{note:?}");
    }
    notes.iter().map(|note| note.hook).collect()
}

#[tokio::test]
async fn r5_the_hooks_of_a_real_plugin_are_called_in_order_and_what_they_log_is_noted() {
    let (host, plugin) = loaded(builder()).await;
    let again = within(host.load_plugin(guest("hooks"))).await.unwrap();
    assert_eq!(hooks(&again), ["init", "on-enabled"]);
    let echo = start_as(&host, request("echo").input(json!(7))).await;
    done(&echo, 1).await;
    let waiting = start_as(&host, request("wait")).await;
    parked(&waiting, 1).await;
    within(waiting.cancel(CancelRequest::new(Party::Agent, "enough").grace(Duration::from_mins(10)))).await;
    assert_eq!(done(&waiting, 2).await, [(TaskHook::OnCancel, None), (TaskHook::OnTerminal, None)]);
    within(host.shutdown()).await;
    let all = ["init", "on-enabled", "on-terminal", "on-cancel", "on-terminal", "on-disabled", "shutdown"];
    assert_eq!(hooks(&plugin), all);
    assert!(plugin.notes().iter().all(|note| note.error.is_none()));
    within(host.shutdown()).await;
    assert_eq!(hooks(&plugin).len(), all.len());
}

#[tokio::test]
async fn r5_hooks_use_the_store_where_they_may_and_are_told_what_happened() {
    let clock = Arc::new(SimulatedClock::new());
    let (host, _) = loaded(builder().plugin_hook_store("hooks").clock(clock.clone())).await;
    let with_store =
        |task_type: &str, key: &str| request(task_type).key(TaskKey::new(key).unwrap()).grants(Grants::default().kv());
    let echo = start_as(&host, with_store("echo", "a").input(json!([1]))).await;
    done(&echo, 1).await;
    // Without the grant its hooks note nothing.
    done(&start_as(&host, request("echo").input(json!(2))).await, 1).await;
    let spinning = start_as(&host, with_store("spin", "b")).await;
    reported(&spinning).await;
    let grace = Duration::from_millis(500);
    within(spinning.cancel(CancelRequest::new(Party::Person, "enough").grace(grace))).await;
    // The hook has as long as the task.
    done(&spinning, 1).await;
    clock.advance(grace);
    assert!(matches!(outcome(&spinning).await, Outcome::Cancelled { forced: true, .. }));
    done(&spinning, 2).await;
    let calls = data(outcome(&start_as(&host, with_store("calls", "c")).await).await);
    let told = [
        "init",
        "on-enabled",
        "on-terminal a succeeded [1]",
        r#"on-cancel b person "enough" 500ms"#,
        "on-terminal b cancelled person true",
    ];
    assert_eq!(calls.as_str().unwrap().lines().collect::<Vec<_>>(), told);
}

#[tokio::test]
async fn r5_only_the_operator_gives_the_store_to_a_plugins_own_hooks() {
    let (host, _) = loaded(builder()).await;
    let calls = start_as(&host, request("calls").grants(Grants::default().kv())).await;
    assert_eq!(data(outcome(&calls).await), json!(""));
}

#[tokio::test]
async fn r32_an_on_terminal_that_is_hostile_is_noted_and_changes_nothing() {
    let cases = [
        ("error", FailureKind::Guest),
        ("panic", FailureKind::Panic),
        ("loop", FailureKind::OutOfFuel),
        ("memory", FailureKind::Memory),
        ("exit", FailureKind::Exited),
    ];
    for (how, kind) in cases {
        let (host, plugin) = loaded(behaving("on-terminal", how)).await;
        let task = start_as(&host, request("echo").input(json!(how))).await;
        assert_eq!(data(outcome(&task).await), json!(how));
        assert_eq!(done(&task, 1).await, [(TaskHook::OnTerminal, Some(kind))]);
        assert_eq!(plugin.notes().last().unwrap().task, Some(task.id()));
        assert_eq!(data(task.state().outcome.unwrap()), json!(how));
        within(host.shutdown()).await;
    }
}

#[tokio::test]
async fn r32_an_on_terminal_that_sleeps_is_waited_for_no_longer_than_its_time() {
    let clock = Arc::new(SimulatedClock::new());
    let limits = HookLimits::default().wait(Duration::from_hours(24));
    let (host, plugin) = loaded(behaving("on-terminal", "sleep").hook_limits(limits).clock(clock.clone())).await;
    let task = start_as(&host, request("echo").input(json!(1))).await;
    outcome(&task).await;
    within(task.gone()).await;
    // Others wait for this host's clock too, so it goes on until the host has waited for the hook.
    passing(&clock, host.shutdown()).await;
    assert_eq!(done(&task, 1).await, [(TaskHook::OnTerminal, Some(FailureKind::Timeout))]);
    let notes = plugin.notes();
    let why = notes.iter().find(|note| note.hook == "on-terminal").and_then(|note| note.error.as_ref()).unwrap();
    assert!(why.to_string().contains("within 10 s"), "{why}");
}

#[tokio::test]
async fn r5_an_on_cancel_that_loops_or_sleeps_delays_neither_the_outcome_nor_the_end_of_the_cell() {
    for how in ["loop", "sleep"] {
        let clock = Arc::new(SimulatedClock::new());
        let (host, _) = loaded(behaving("on-cancel", how).clock(clock.clone())).await;
        let waiting = start_as(&host, request("wait")).await;
        parked(&waiting, 1).await;
        // No time passes until the cell is gone.
        within(waiting.cancel(CancelRequest::new(Party::Person, "").grace(Duration::from_secs(2)))).await;
        assert!(matches!(outcome(&waiting).await, Outcome::Cancelled { forced: false, .. }));
        within(waiting.gone()).await;
        let ends = passing(&clock, Box::pin(done(&waiting, 2))).await;
        let [(TaskHook::OnCancel, Some(kind)), (TaskHook::OnTerminal, None)] = ends[..] else { panic!("{ends:?}") };
        assert!(matches!(kind, FailureKind::OutOfFuel | FailureKind::Timeout));
    }
}

#[tokio::test]
async fn r5_a_full_host_still_calls_hooks() {
    let (host, _) = loaded(builder().running_max(1)).await;
    let running = start_as(&host, request("wait")).await;
    parked(&running, 1).await;
    let queued = start_as(&host, request("echo").input(json!(1))).await;
    within(queued.cancel(CancelRequest::new(Party::Person, ""))).await;
    assert_eq!(done(&queued, 1).await, [(TaskHook::OnTerminal, None)]);
}

#[tokio::test]
async fn r5_a_shutdown_goes_on_past_a_plugin_that_fails() {
    let (host, plugin) =
        loaded(builder().plugin_config("hooks", json!({"on-disabled": "panic", "shutdown": "loop"}))).await;
    within(host.shutdown()).await;
    let failed: Vec<_> = plugin.notes().into_iter().filter_map(|note| Some((note.hook, note.error?.kind()))).collect();
    assert_eq!(failed, [("on-disabled", FailureKind::Panic), ("shutdown", FailureKind::OutOfFuel)]);
}

#[tokio::test]
async fn r5_a_dropped_host_calls_nothing() {
    let (host, plugin) = loaded(builder()).await;
    let task = start_as(&host, request("wait")).await;
    parked(&task, 1).await;
    drop(host);
    assert!(matches!(outcome(&task).await, Outcome::Cancelled { by: Party::Host, .. }));
    assert_eq!(done(&task, 1).await, [(TaskHook::OnTerminal, Some(FailureKind::Host))]);
    let called: Vec<_> = plugin.notes().into_iter().filter(|note| !note.log.is_empty()).map(|note| note.hook).collect();
    assert_eq!(called, ["init", "on-enabled"]);
}
