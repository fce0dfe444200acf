//! A plugin with all hooks. Each writes down in the plugin's store what it was told, where it may, and then does what the
//! configuration says of it.

use serde_json::Value;
use taskcell_guest::{CancelledTask, EndedTask, HookCtx, RefusalKind, TaskCtl, TaskEnd, TaskError, plugin, task};

/// Does at once what it is asked to do: gives its input back.
#[task]
fn echo(_ctl: &TaskCtl, input: Value) -> Result<Value, TaskError> {
    Ok(input)
}

/// Gives what the hooks have noted.
#[task]
fn calls(ctl: &TaskCtl, _input: ()) -> Result<String, TaskError> {
    Ok(String::from_utf8(ctl.kv_get("calls")?.unwrap_or_default())?)
}

/// Waits until it is asked to stop, and returns in time.
#[task]
fn wait(ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    ctl.wait::<Value>("never", None)?;
    Ok(())
}

/// Loops, and does not look whether it shall stop.
#[task]
fn spin(ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    ctl.report_progress("spinning", None)?;
    loop {
        std::hint::black_box(0);
    }
}

/// Notes that a hook was called, and with what, where it may use the store.
fn note(ctx: &HookCtx, line: &str) -> Result<(), TaskError> {
    loop {
        let before = match ctx.kv_get("calls") {
            Ok(before) => before,
            Err(refused) if refused.kind == RefusalKind::Denied => return Ok(()),
            Err(refused) => return Err(refused.into()),
        };
        let mut after = before.clone().unwrap_or_default();
        after.extend_from_slice(line.as_bytes());
        after.push(b'\n');
        if ctx.kv_compare_and_set("calls", before.as_deref(), after)? {
            return Ok(());
        }
    }
}

/// Does what the configuration says of a hook.
#[expect(clippy::panic, clippy::disallowed_methods, reason = "hostile, or looking at what the system is to a hook")]
fn behave(ctx: &HookCtx, hook: &str, line: &str) -> Result<(), TaskError> {
    log::info!("{hook} is here");
    note(ctx, line)?;
    let config: Value = ctx.config()?;
    match config.get(hook).and_then(Value::as_str) {
        None => Ok(()),
        Some("error") => Err(TaskError::new("it does not\u{1b}[31m want to")),
        Some("panic") => panic!("it panics"),
        Some("loop") => loop {
            std::hint::black_box(0);
        },
        Some("memory") => {
            std::hint::black_box(vec![1_u8; 1 << 30]);
            Ok(())
        }
        Some("exit") => std::process::exit(0),
        Some("sleep") => {
            std::thread::sleep(std::time::Duration::from_secs(3600));
            Ok(())
        }
        Some("files") => {
            let Err(error) = std::fs::write("/scratch/file", "x") else { return Ok(()) };
            Err(TaskError::new(format!("no files: {:?}", error.kind())))
        }
        Some(other) => Err(TaskError::new(format!("{other:?} is not known"))),
    }
}

fn init(ctx: &HookCtx) -> Result<(), TaskError> {
    behave(ctx, "init", "init")
}

fn enabled(ctx: &HookCtx) -> Result<(), TaskError> {
    behave(ctx, "on-enabled", "on-enabled")
}

fn disabled(ctx: &HookCtx) -> Result<(), TaskError> {
    behave(ctx, "on-disabled", "on-disabled")
}

fn shutdown(ctx: &HookCtx) -> Result<(), TaskError> {
    behave(ctx, "shutdown", "shutdown")
}

fn cancelled(ctx: &HookCtx, task: &CancelledTask) -> Result<(), TaskError> {
    let CancelledTask { task, by, reason, grace, .. } = task;
    behave(ctx, "on-cancel", &format!("on-cancel {} {} {reason:?} {grace:?}", task.key, by.as_str()))
}

fn ended(ctx: &HookCtx, task: &EndedTask) -> Result<(), TaskError> {
    let end = match &task.end {
        TaskEnd::Succeeded { data, .. } => format!("succeeded {}", data.clone().unwrap_or_default()),
        TaskEnd::Failed { kind, .. } => format!("failed {kind}"),
        TaskEnd::Cancelled { by, forced, .. } => format!("cancelled {} {forced}", by.as_str()),
        TaskEnd::Other { outcome, .. } => outcome.clone(),
        _ => "something else".to_owned(),
    };
    behave(ctx, "on-terminal", &format!("on-terminal {} {end}", task.task.key))
}

plugin! {
    name: "hooks",
    version: env!("CARGO_PKG_VERSION"),
    requests: ["kv" => "to note which hooks were called"],
    tasks: [echo, calls, wait, spin],
    hooks: {
        init: init,
        on_enabled: enabled,
        on_disabled: disabled,
        shutdown: shutdown,
        on_cancel: cancelled,
        on_terminal: ended,
    },
}
