//! A function of this program that a plugin may call: declared with its types, granted by its name, bounded in time.
//!
//! `cargo run --example host_functions -- target/guests/wasm/invoice.wasm`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use taskcell::{Grants, Host, HostCallError, HostFunction, StartRequest};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(done) = taskcell::compile_child() {
        return Ok(done);
    }
    let file = std::env::args().nth(1).unwrap_or_else(|| "target/guests/wasm/invoice.wasm".to_owned());
    let prices = Arc::new(BTreeMap::from([("lamp", 2_500), ("chair", 4_900)]));
    // What does not fit the schemas never reaches the function, or the plugin.
    let price = HostFunction::new("price")
        .input(json!({"type": "object", "required": ["article"], "properties": {"article": {"type": "string"}}}))
        .output(json!({"type": "integer", "minimum": 0}))
        .timeout(Duration::from_secs(5));
    let host = Host::builder()
        .provide(price, move |call| {
            let prices = Arc::clone(&prices);
            async move {
                let article = call.input.get("article").and_then(|article| article.as_str()).unwrap_or_default();
                let cents = prices.get(article).ok_or_else(|| HostCallError::failed("it has no price"))?;
                Ok(json!(cents))
            }
        })
        .build()?;
    host.load_plugin(file).await?;

    let order =
        json!({"customer": "Ada", "items": [{"article": "lamp", "pieces": 2}, {"article": "moon", "pieces": 1}]});
    let request = StartRequest::new("invoice", "invoice").input(order);
    let granted = host.start(request.clone().grants(Grants::default().function("price"))).await?;
    println!("with the grant: {}", granted.wait().await);
    let denied = host.start(request).await?;
    println!("without it: {}", denied.wait().await);
    host.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
