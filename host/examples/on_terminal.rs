//! What is called when a task has its outcome: a function that is registered by its name, and one that comes with the
//! start and starts the same key once more, which is free by then.
//!
//! `cargo run --example on_terminal -- target/guests/wasm/hello.wasm`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use taskcell::{Host, StartRequest, TaskDetails, TaskKey};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(done) = taskcell::compile_child() {
        return Ok(done);
    }
    let file = std::env::args().nth(1).unwrap_or_else(|| "target/guests/wasm/hello.wasm".to_owned());
    let journal = |end: taskcell::TaskEnd| async move {
        println!("journal: {} {}", end.task.task_ref(), end.outcome);
        Ok(())
    };
    let host = Arc::new(Host::builder().on_terminal("journal", journal).build()?);
    host.load_plugin(file).await?;

    let mut details = TaskDetails::default();
    details.on_terminal = Some("journal".to_owned());
    let greet = move |name: &str| {
        let mut request = StartRequest::new("hello", "hello").key(TaskKey::new("daily")?).input(json!({"name": name}));
        request.details.clone_from(&details);
        anyhow::Ok(request)
    };

    // A function that kept the host itself alive would keep it for ever, if its task never ended.
    let (weak, again) = (Arc::downgrade(&host), greet("Grace")?);
    let (second, mut seconds) = mpsc::channel(1);
    let first = host.start_with(greet("Ada")?, move |_| async move {
        if let Some(host) = weak.upgrade() {
            second.send(host.start(again).await?).await?;
        }
        Ok(())
    });
    first.await?.gone().await;
    if let Some(second) = seconds.recv().await {
        second.gone().await;
    }
    host.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
