//! Sends a request, follows redirects, and returns the answer as text or keeps it as a file.
//!
//! The host looks at each request, and at each redirect's again. A secret comes in by its placeholder, which the host replaces
//! on the way out: the plugin never sees it.

mod answer;
mod redirect;
#[cfg(target_family = "wasm")]
mod wire;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use taskcell_guest::{TaskCtl, TaskError, plugin, task};
use url::Url;

use answer::Answer;
use redirect::{Request, next};

/// Redirects that are followed; what leads on after that mostly leads in a circle.
const REDIRECTS_MAX: u32 = 5;
/// Bytes of an answer that are returned as text. More belong into a file.
const TEXT_MAX: usize = 1 << 20;
/// Bytes of an answer that is kept as a file.
const FILE_MAX: usize = 64 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Where to, beginning with `https://` or `http://`.
    url: String,
    /// How; without it `GET`, or `POST` when there is a body.
    method: Option<String>,
    /// Headers. `{secret:NAME}` in a value stands for a secret of the host's.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What is sent.
    body: Option<String>,
    /// The name of the file to keep the answer's body in, instead of returning it as text.
    save_as: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// The answer's status, such as 200.
    status: u16,
    /// Where it came from, after all redirects.
    url: String,
    /// The answer's headers, in lower case.
    headers: BTreeMap<String, String>,
    /// The body, when it is not kept as a file; what is no text in it is replaced.
    text: Option<String>,
    /// The file's name.
    file: Option<String>,
    /// Bytes of the body.
    bytes: usize,
}

/// Fetches what is at a URL.
#[task(requests = [
    "http" => "to send the request",
    "secrets" => "for requests that need one",
])]
fn fetch(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError> {
    fetch_with(ctl, input, send)
}

#[cfg(target_family = "wasm")]
fn send(request: &Request, most: usize) -> Result<Answer, String> {
    wire::send(request, most)
}

#[cfg(not(target_family = "wasm"))]
fn send(_: &Request, _: usize) -> Result<Answer, String> {
    Err("there is no network outside of a host".to_owned())
}

fn fetch_with(
    ctl: &TaskCtl,
    input: Input,
    send: impl Fn(&Request, usize) -> Result<Answer, String>,
) -> Result<Output, TaskError> {
    let mut request = asked_for(&input)?;
    let most = if input.save_as.is_some() { FILE_MAX } else { TEXT_MAX };
    for _ in 0..=REDIRECTS_MAX {
        ctl.checkpoint()?;
        ctl.report_progress(format!("{} {}", request.method, request.url), None)?;
        let answer = send(&request, most)
            .map_err(|error| TaskError::new(format!("{} {}: {error}", request.method, request.url)))?;
        match next(&request, &answer).map_err(TaskError::new)? {
            Some(on) => request = on,
            None => return finish(ctl, &request, answer, input.save_as),
        }
    }
    Err(TaskError::new(format!("more than {REDIRECTS_MAX} redirects, the last one to {}", request.url)))
}

fn asked_for(input: &Input) -> Result<Request, TaskError> {
    let url = Url::parse(&input.url).map_err(|error| TaskError::new(format!("{:?} is no URL: {error}", input.url)))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(TaskError::new(format!("{url} does not begin with https:// or http:// and a host")));
    }
    let method = input.method.clone().unwrap_or_else(|| if input.body.is_some() { "POST" } else { "GET" }.to_owned());
    let mut headers = BTreeMap::new();
    for (name, value) in &input.headers {
        headers.insert(name.to_ascii_lowercase(), with_secrets(value, variable)?);
    }
    Ok(Request { method: method.to_ascii_uppercase(), url, headers, body: input.body.clone() })
}

/// The placeholder that the host has given the task for this secret.
#[expect(clippy::disallowed_methods, reason = "a plugin's environment is what its host granted")]
fn variable(name: &str) -> Option<String> {
    std::env::var(format!("TASKCELL_SECRET_{}", name.to_ascii_uppercase().replace('-', "_"))).ok()
}

/// The value with each `{secret:NAME}` replaced by what stands for it.
fn with_secrets(value: &str, placeholder: impl Fn(&str) -> Option<String>) -> Result<String, TaskError> {
    let mut parts = value.split("{secret:");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').ok_or_else(|| TaskError::new("a header has {secret: without its }"))?;
        let text = placeholder(name).ok_or_else(|| {
            TaskError::new(format!(
                "the secret {name:?} is not granted to this task, or the host has none of this name"
            ))
        })?;
        filled.push_str(&text);
        filled.push_str(rest);
    }
    Ok(filled)
}

fn finish(ctl: &TaskCtl, request: &Request, answer: Answer, save_as: Option<String>) -> Result<Output, TaskError> {
    let bytes = answer.body.len();
    ctl.set_summary(format!(
        "{} answered {} with {bytes} bytes",
        request.url.host_str().unwrap_or_default(),
        answer.status
    ));
    let (text, file) = match save_as {
        None => (Some(String::from_utf8_lossy(&answer.body).into_owned()), None),
        Some(name) => {
            let media_type = answer.headers.get("content-type").map_or("application/octet-stream", String::as_str);
            keep(ctl, &name, media_type, &answer.body)?;
            (None, Some(name))
        }
    };
    if answer.status >= 400 {
        let details = json!({ "status": answer.status, "text": text });
        return Err(TaskError::new(format!("{} answered {}", request.url, answer.status)).with_details(details));
    }
    Ok(Output { status: answer.status, url: request.url.to_string(), headers: answer.headers, text, file, bytes })
}

#[expect(clippy::disallowed_methods, reason = "a plugin's disk is what its host granted")]
fn keep(ctl: &TaskCtl, name: &str, media_type: &str, body: &[u8]) -> Result<(), TaskError> {
    let path = ctl.info().scratch.join("body");
    std::fs::write(&path, body).map_err(|error| TaskError::new(format!("failed to keep the body: {error}")))?;
    ctl.attach(name, media_type, &path)?;
    Ok(())
}

plugin! {
    name: "fetch",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Fetches what is at a URL.",
    tasks: [fetch],
}

#[cfg(test)]
mod tests;
