//! A request, and the one that an answer leads to. Pure.

use std::collections::BTreeMap;

use url::Url;

use crate::answer::Answer;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: Url,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
}

/// Headers that are meant for one host, and are not shown to another.
const OF_ONE_HOST: [&str; 3] = ["authorization", "cookie", "x-api-key"];

/// The request that the answer says to send instead; `None` when this is the answer.
pub(crate) fn next(request: &Request, answer: &Answer) -> Result<Option<Request>, String> {
    if ![301, 302, 303, 307, 308].contains(&answer.status) {
        return Ok(None);
    }
    let Some(location) = answer.headers.get("location") else { return Ok(None) };
    let url =
        request.url.join(location).map_err(|error| format!("a redirect to {location:?}, which is no URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("a redirect to {url}, which is no place for a request"));
    }
    let mut next = Request { url, ..request.clone() };
    // As browsers do: only 307 and 308 repeat what was sent.
    let becomes_get = answer.status == 303 || (answer.status < 303 && request.method == "POST");
    if becomes_get && request.method != "HEAD" {
        "GET".clone_into(&mut next.method);
        next.body = None;
        next.headers.retain(|name, _| !name.starts_with("content-"));
    }
    if next.url.origin() != request.url.origin() {
        next.headers.retain(|name, _| !OF_ONE_HOST.contains(&name.as_str()));
    }
    Ok(Some(next))
}
