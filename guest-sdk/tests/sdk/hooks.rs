//! Hooks are plain functions: a test calls them with what the fake host has.

use std::time::Duration;

use serde_json::json;
use taskcell_guest::testing::FakeHost;
use taskcell_guest::{CancelledTask, EndedTask, HookCtx, Sender, TaskCtl, TaskEnd, TaskError, TaskRef, plugin, task};

#[task]
fn fetch(_ctl: &TaskCtl, name: String) -> Result<String, TaskError> {
    Ok(name)
}

fn prepare(ctx: &HookCtx) -> Result<(), TaskError> {
    let config: serde_json::Value = ctx.config()?;
    if config.get("url").is_some_and(serde_json::Value::is_string) { Ok(()) } else { Err(TaskError::new("set `url`")) }
}

fn give_up(_ctx: &HookCtx, task: &CancelledTask) -> Result<(), String> {
    log::info!("{} shall stop for {}", task.task.key, task.by.as_str());
    if task.grace < Duration::from_secs(1) { Err("too little time".to_owned()) } else { Ok(()) }
}

fn note(ctx: &HookCtx, task: &EndedTask) -> Result<(), TaskError> {
    let succeeded = matches!(task.end, TaskEnd::Succeeded { .. });
    ctx.kv_set(&task.task.key, if succeeded { "good" } else { "bad" })?;
    Ok(())
}

plugin! {
    name: "fetcher",
    version: "1.0.0",
    tasks: [fetch],
    hooks: { init: prepare, on_cancel: give_up, on_terminal: note },
}

#[test]
fn a_plugins_hooks_are_tested_like_its_tasks() {
    let host = FakeHost::new();
    assert_eq!(prepare(&host.hook_ctx()).unwrap_err().message(), "set `url`");
    host.set_config(json!({"url": "http://localhost"}));
    assert!(prepare(&host.hook_ctx()).is_ok());
    let task = || TaskRef::new("fetcher", "fetch", "k");
    let mut cancelled = CancelledTask::new(task());
    cancelled.by = Sender::Agent;
    assert_eq!(give_up(&host.hook_ctx(), &cancelled), Ok(()));
    assert_eq!(host.logs()[0].message, "k shall stop for agent");
    cancelled.grace = Duration::ZERO;
    assert_eq!(give_up(&host.hook_ctx(), &cancelled), Err("too little time".to_owned()));
    note(&host.hook_ctx(), &EndedTask::new(task(), TaskEnd::succeeded(7))).unwrap();
    assert_eq!(host.stored("k"), Some(b"good".to_vec()));
    // The manifest says nothing of hooks: the component's exports do.
    assert_eq!(PLUGIN.manifest()["hooks"], json!(null));
}
