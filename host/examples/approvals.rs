//! A task that asks for a yes: it waits, costs nothing meanwhile, and goes on with what a person says.
//!
//! `cargo run --example approvals -- target/guests/wasm/invoice.wasm`, and answer `y` or a reason.
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::json;
use taskcell::{EventBody, EventSeq, Grants, Host, HostFunction, Party, StartRequest, escape};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(done) = taskcell::compile_child() {
        return Ok(done);
    }
    let file = std::env::args().nth(1).unwrap_or_else(|| "target/guests/wasm/invoice.wasm".to_owned());
    let host = Host::builder().provide(HostFunction::new("price"), |_| async { Ok(json!(4_900)) }).build()?;
    host.load_plugin(file).await?;
    let order = json!({"customer": "Ada", "items": [{"article": "chair", "pieces": 6}]});
    let grants = Grants::default().function("price");
    let task = host.start(StartRequest::new("invoice", "invoice").input(order).grants(grants)).await?;

    let mut events = task.events(EventSeq::default());
    while let Some(event) = events.next().await? {
        let EventBody::ApprovalRequested { number, ask, .. } = event.body else { continue };
        // What comes from a plugin is escaped before it is shown.
        print!("The task wants to {}. May it? ", escape(&ask.summary));
        std::io::stdout().flush()?;
        // Off the async threads: a person takes as long as they like.
        let said = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line.trim().to_owned())
        });
        match said.await?? {
            yes if yes == "y" => task.approve(number, None, Party::Person).await,
            reason => task.deny(number, reason, Party::Person).await,
        };
    }
    println!("{}", task.wait().await);
    host.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
