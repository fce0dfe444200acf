//! Plugins whose `init` fails, and those whose hooks are hostile or wrong.

use std::time::Duration;

use serde_json::json;
use taskcell::{FailureKind, HookError, HookLimits, Host, HostBuilder, LoadError};

use crate::support::component::Handmade;
use crate::support::imports::{self, Imports};
use crate::support::{builder, guest, uncached, within};

fn behaving(init: &str) -> HostBuilder {
    builder().plugin_config("hooks", json!({ "init": init }))
}

fn refused(loaded: Result<taskcell::Plugin, LoadError>, host: &Host) -> HookError {
    assert!(host.plugins().is_empty());
    match loaded.unwrap_err() {
        LoadError::Init { error } => error,
        other => panic!("{other:?}"),
    }
}

/// Loads the guest whose `init` does this, and says why it was not.
async fn fails(builder: HostBuilder) -> HookError {
    let host = builder.build().unwrap();
    let error = refused(within(host.load_plugin(guest("hooks"))).await, &host);
    // Its place is free again, and others are loaded.
    within(host.load_plugin(guest("hello"))).await.unwrap();
    error
}

#[tokio::test]
async fn r5_an_init_that_says_no_stops_the_load_with_its_sentence() {
    let error = fails(behaving("error")).await;
    assert_eq!((error.kind(), error.to_string()), (FailureKind::Guest, r"it does not\u{1b}[31m want to".to_owned()));
}

#[tokio::test]
async fn r5_an_init_that_does_not_return_is_told_by_what_ended_it() {
    let cases = [
        ("panic", FailureKind::Panic, "it panics"),
        ("loop", FailureKind::OutOfFuel, "50M units"),
        ("memory", FailureKind::Memory, "memory"),
        ("exit", FailureKind::Exited, "code 0"),
    ];
    for (init, kind, says) in cases {
        let error = fails(behaving(init)).await;
        assert_eq!(error.kind(), kind, "{init}: {error}");
        assert!(error.to_string().contains(says), "{init}: {error}");
    }
}

#[tokio::test]
async fn r5_an_init_that_sleeps_is_given_up() {
    let limits = HookLimits::default().timeout(Duration::from_millis(300));
    let error = fails(behaving("sleep").hook_limits(limits)).await;
    assert_eq!(error.kind(), FailureKind::Timeout, "{error}");
}

#[tokio::test]
async fn r5_an_init_has_no_files_no_store_and_no_more_than_its_limits() {
    let error = fails(behaving("files")).await;
    assert!(error.to_string().contains("no files"), "{error}");
    let error = fails(behaving("nothing").hook_limits(HookLimits::default().fuel(1000))).await;
    assert_eq!(error.kind(), FailureKind::OutOfFuel, "{error}");
    let error = fails(behaving("nothing").hook_limits(HookLimits::default().memory_bytes(64 << 10))).await;
    assert_eq!(error.kind(), FailureKind::Memory, "{error}");
}

/// The word for the refusal that a call in `init` meets, by a body that makes the call and leaves the word's address and
/// length at these two places.
async fn refusal(set: &Imports, call: &str, (address, length): (u32, u32)) -> String {
    let body = format!(
        "{call} (i32.store (i32.const 0) (i32.const 1))
         (i32.store (i32.const 4) (i32.load (i32.const {address})))
         (i32.store (i32.const 8) (i32.load (i32.const {length}))) (i32.const 0)"
    );
    let host = uncached();
    let asking = Handmade::new("asks").imports(set).field(r#"(data (i32.const 2048) "k")"#).init(&body);
    refused(within(host.load_plugin_bytes("asks", asking.bytes())).await, &host).to_string()
}

#[tokio::test]
async fn r5_a_hook_that_would_wait_or_reach_a_task_is_refused_at_once() {
    let wait = "(call $wait (i32.const 2048) (i32.const 1) (i32.const 0) (i64.const 0) (i32.const 512))";
    assert_eq!(refusal(&imports::SIGNALS, wait, (520, 524)).await, "no-task");
    let report = "(call $progress (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 512))";
    assert_eq!(refusal(&imports::TASK, report, (516, 520)).await, "no-task");
    let tell = "(call $agent (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 512))";
    assert_eq!(refusal(&imports::AGENT, tell, (516, 520)).await, "no-task");
}

#[tokio::test]
async fn r5_a_hook_that_traps_or_lies_about_its_error_is_told() {
    let host = uncached();
    let loop_in_wasi = Handmade::new("a").init("unreachable");
    let error = refused(within(host.load_plugin_bytes("a", loop_in_wasi.bytes())).await, &host);
    assert_eq!(error.kind(), FailureKind::Trap);
    // An error of 1 MiB, and one that is not there.
    for (address, length) in [(65_536, 1 << 20), (0x7000_0000, 16)] {
        let body = format!(
            "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const {address}))
             (i32.store (i32.const 8) (i32.const {length})) (i32.const 0)"
        );
        let liar = Handmade::new("a").pages(32).init(&body);
        let error = refused(within(host.load_plugin_bytes("a", liar.bytes())).await, &host);
        assert!(matches!(error.kind(), FailureKind::OutputLimit | FailureKind::Trap), "{error}");
        assert!(error.to_string().len() < 1000);
    }
}

#[tokio::test]
async fn r5_hooks_that_are_not_the_contracts_are_a_load_error() {
    let wrong = Handmade::new("a").wrong_hooks();
    let error = within(uncached().load_plugin_bytes("a", wrong.bytes())).await.unwrap_err();
    assert!(error.to_string().contains("no `init` as the contract describes it"), "{error}");
    let fine = within(uncached().load_plugin_bytes("a", Handmade::new("a").init("(i32.const 1024)").bytes())).await;
    let hooks = fine.unwrap().hooks();
    assert!(hooks.plugin && !hooks.task);
}
