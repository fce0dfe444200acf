//! Loads a plugin, starts one of its tasks, watches it, and prints its outcome.
//!
//! `cargo run --example embedding -- target/guests/wasm/hello.wasm`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::process::ExitCode;

use taskcell::{EventBody, EventSeq, Host, StartRequest};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(done) = taskcell::compile_child() {
        return Ok(done);
    }
    let file = std::env::args().nth(1).unwrap_or_else(|| "target/guests/wasm/hello.wasm".to_owned());
    let host = Host::builder().build()?;
    let plugin = host.load_plugin(file).await?;
    let request = StartRequest::new(plugin.name(), "hello").input(serde_json::json!({"name": "Ada"}));
    let task = host.start(request).await?;
    let mut events = task.events(EventSeq::default());
    while let Some(event) = events.next().await? {
        if let EventBody::Progress { message, .. } = event.body {
            println!("… {}", taskcell::escape(&message));
        }
    }
    println!("{}", serde_json::to_string_pretty(&task.wait().await)?);
    host.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
