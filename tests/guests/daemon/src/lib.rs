//! A plugin with daemons. No other guest has one, so that no other test starts any.

use std::hint::black_box;

use schemars::JsonSchema;
use serde::Deserialize;
use taskcell_guest::{TaskCtl, TaskError, WaitError, plugin, task};

#[derive(Deserialize, JsonSchema)]
struct Watch {
    /// What it says at each tick.
    #[serde(default)]
    word: String,
}

/// Reports each `tick`, and tidies up when it is asked to stop; on `end` it ends, and on `fail` it does not end well.
#[task(daemon, read_only, restartable, requests = ["kv" => "to count its lives"])]
fn watch(ctl: &TaskCtl, input: Watch) -> Result<(), TaskError> {
    let lives = match ctl.kv_get("lives") {
        Ok(lives) => lives.map_or(1, |lives| lives.len() + 1),
        // It was not granted.
        Err(_) => 0,
    };
    if lives > 0 {
        ctl.kv_set("lives", vec![b'.'; lives])?;
    }
    ctl.report_progress(format!("watching, life {lives}"), None)?;
    loop {
        match ctl.wait_any_raw(["tick", "end", "fail"], None) {
            Ok(signal) => match signal.key.as_str() {
                "tick" => ctl.report_progress(format!("tick {}", input.word), None)?,
                "end" => return Ok(()),
                _ => return Err(TaskError::new("it was told to")),
            },
            Err(WaitError::Cancelled(_)) => return Err(TaskError::cancelled("stopped watching")),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Burns all the fuel that it gets.
#[task(daemon, fuel_per_hour = 40_000_000)]
fn churn(ctl: &TaskCtl, (): ()) -> Result<(), TaskError> {
    ctl.report_progress("churning", None)?;
    let mut turns = 0_u64;
    loop {
        for _ in 0..10_000 {
            turns = black_box(turns.wrapping_add(1));
        }
        ctl.checkpoint()?;
    }
}

/// Says hello, and nothing else.
#[task]
fn greet(_ctl: &TaskCtl, (): ()) -> Result<String, TaskError> {
    Ok("hello".to_owned())
}

plugin! {
    name: "daemon",
    version: env!("CARGO_PKG_VERSION"),
    description: "Has daemons.",
    tasks: [watch, churn, greet],
}
