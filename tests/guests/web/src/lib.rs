//! A plugin that sends whatever requests the tests want, with nothing between them and the host.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the tests look at what the sandbox makes of these"
)]

#[cfg(target_family = "wasm")]
mod sending;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

/// One request. In `path`, in values of headers and in `body`, `${NAME}` is replaced by the variable's value.
#[derive(Deserialize, JsonSchema)]
#[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only a guest sends"))]
pub(crate) struct Wish {
    #[serde(default = "plain")]
    pub(crate) scheme: String,
    pub(crate) authority: String,
    #[serde(default = "get")]
    pub(crate) method: String,
    #[serde(default = "root")]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) body: Option<String>,
    /// How often the body is sent.
    #[serde(default = "once")]
    pub(crate) repeat: u32,
    #[serde(default)]
    pub(crate) trailers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) connect_ms: Option<u64>,
    #[serde(default)]
    pub(crate) first_byte_ms: Option<u64>,
    #[serde(default)]
    pub(crate) between_bytes_ms: Option<u64>,
}

fn plain() -> String {
    "http".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

fn once() -> u32 {
    1
}

/// Sends the requests one after the other, and returns what became of each.
#[task]
fn send(ctl: &TaskCtl, input: Vec<Wish>) -> Result<Vec<Value>, TaskError> {
    ctl.report_progress("sending", None)?;
    Ok(input.iter().map(one).collect())
}

/// Sends the requests all at once, and keeps the answers unread until each has its own.
#[task]
fn send_at_once(ctl: &TaskCtl, input: Vec<Wish>) -> Result<Vec<Value>, TaskError> {
    ctl.report_progress("sending", None)?;
    Ok(all(&input))
}

/// Sends a request, reads the answer backwards, and says it in every way a task can.
#[task]
fn blurt(ctl: &TaskCtl, input: Wish) -> Result<Value, TaskError> {
    let answer = one(&input);
    let text: String = answer.get("body").and_then(Value::as_str).unwrap_or_default().chars().rev().collect();
    let (half, rest) = text.split_at(text.len() / 2);
    print!("said {half}");
    println!("{rest}");
    log::info!("logged {text}");
    ctl.report_progress(format!("progress {text}"), None)?;
    ctl.set_summary(format!("summary {text}"));
    Ok(serde_json::json!({ "length": text.len(), "text": text }))
}

/// Sends requests, unpacks their answers as a guest's own client does, and returns how long they are then.
#[task]
fn unpack(ctl: &TaskCtl, input: Vec<Wish>) -> Result<Vec<Value>, TaskError> {
    ctl.report_progress("sending", None)?;
    Ok(input.iter().map(unpacked).collect())
}

/// Returns its variables.
#[task]
fn variables(_ctl: &TaskCtl, (): ()) -> Result<Value, TaskError> {
    Ok(std::env::vars().map(|(name, value)| (name, Value::from(value))).collect::<serde_json::Map<_, _>>().into())
}

#[cfg(target_family = "wasm")]
fn one(wish: &Wish) -> Value {
    sending::send(wish)
}

#[cfg(target_family = "wasm")]
fn all(wishes: &[Wish]) -> Vec<Value> {
    sending::send_at_once(wishes)
}

#[cfg(target_family = "wasm")]
fn unpacked(wish: &Wish) -> Value {
    sending::unpack(wish)
}

#[cfg(not(target_family = "wasm"))]
fn unpacked(wish: &Wish) -> Value {
    one(wish)
}

#[cfg(not(target_family = "wasm"))]
fn one(wish: &Wish) -> Value {
    serde_json::json!({ "error": format!("there is no wasi:http here for {}", wish.authority) })
}

#[cfg(not(target_family = "wasm"))]
fn all(wishes: &[Wish]) -> Vec<Value> {
    wishes.iter().map(one).collect()
}

plugin! {
    name: "web",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Sends the requests that the tests want a guest to send.",
    requests: [
        "http" => "the tests send requests",
        "secrets" => "the tests send secrets",
    ],
    tasks: [send, send_at_once, unpack, blurt, variables],
}
