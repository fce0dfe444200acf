//! T5: a full stack, in the guest's own code and on the way into the host, is a trap and never the end of the process.

use serde_json::json;
use taskcell::{FailureKind, Profile, StartRequest};

use crate::support::alone::alone;
use crate::support::builder;
use crate::support::component::Handmade;
use crate::support::imports::{self, Imports};
use crate::support::oracle::Watched;
use crate::support::request;
use crate::support::task::{failed, outcome, start_as};

/// Runs a guest that fills its stack, several times, beside a neighbour: with the usual stacks, and with small ones.
async fn overflows(plugin: Option<Handmade>, request: StartRequest) {
    for profile in [Profile::Fast, Profile::Dense] {
        overflows_in(profile, plugin.as_ref(), &request).await;
    }
}

async fn overflows_in(profile: Profile, plugin: Option<&Handmade>, request: &StartRequest) {
    let watched = Watched::with(builder().profile(profile)).await;
    if let Some(plugin) = plugin {
        watched.load(plugin).await;
    }
    watched
        .withstands(async |beside| {
            let mut tasks = Vec::new();
            for _ in 0..3 {
                let task = start_as(beside.host, request.clone()).await;
                let told = failed(outcome(&task).await, FailureKind::Trap);
                assert!(told.message.contains("stack"), "{}", told.message);
                assert!(!told.backtrace.is_empty() && told.backtrace.len() <= 32, "{}", told.backtrace.len());
                tasks.push(task);
            }
            tasks
        })
        .await;
}

/// A guest that makes a host call at each depth, so that one of them comes when the stack is as good as full.
fn deep(set: &Imports, call: &str) -> Handmade {
    Handmade::new("made")
        .imports(set)
        .field(&format!("(func $deep {call} (call $deep) {call})"))
        .run("(call $deep) (i32.const 1024)")
}

fn go() -> StartRequest {
    StartRequest::new("made", "go")
}

#[test]
fn t05_endless_recursion_is_a_trap() {
    alone(|| overflows(None, request("recurse", json!(null))));
}

#[test]
fn t05_a_small_host_call_with_a_full_stack_is_a_trap() {
    alone(|| overflows(Some(deep(&imports::TASK, "(call $heartbeat)")), go()));
}

#[test]
fn t05_a_host_call_that_makes_a_document_with_a_full_stack_is_a_trap() {
    alone(|| overflows(Some(deep(&imports::TASK, "(call $info (i32.const 2048))")), go()));
}

#[test]
fn t05_a_host_call_with_a_text_and_an_answer_with_a_full_stack_is_a_trap() {
    // Asks the task's actor, and gives way meanwhile.
    let call = "(call $agent (i32.const 65536) (i32.const 10) (i32.const 0) (i32.const 2048))";
    alone(|| overflows(Some(deep(&imports::AGENT, call)), go().fuel(1_000_000_000)));
}

#[test]
fn t05_a_call_of_wasi_with_a_full_stack_is_a_trap() {
    // Opening a file goes through the most of the host's code.
    let call = "(call $open (global.get $dir) (i32.const 0) (i32.const 2500) (i32.const 1)
        (i32.const 0) (i32.const 1) (i32.const 2048))";
    let plugin = Handmade::new("made")
        .imports(&imports::FILES)
        .field(r#"(global $dir (mut i32) (i32.const 0)) (data (i32.const 2500) "x")"#)
        .field(&format!("(func $deep {call} (call $deep) {call})"))
        .run(
            "(call $directories (i32.const 2048))
             (global.set $dir (i32.load (i32.load (i32.const 2048))))
             (call $deep) (i32.const 1024)",
        );
    alone(|| overflows(Some(plugin), go()));
}
