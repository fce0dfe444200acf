//! What is read of a request, strictly: its path, parameters, headers and body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query as Parameters, RawPathParams, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;

use crate::model::json;
use crate::{ApprovalNumber, ScheduleId, TaskHandle, TaskId};

use super::desk::Desk;
use super::refusal::Refusal;
use super::wire::{Problem, ProblemKind, Query, schedule_id, task_id};

fn bad(detail: impl Into<String>) -> Refusal {
    Refusal::new(ProblemKind::InvalidRequest, detail)
}

/// A part of the path, by its name in the route.
pub(super) async fn part(parts: &mut Parts, name: &str) -> Result<String, Refusal> {
    let path = RawPathParams::from_request_parts(parts, &()).await.map_err(|error| bad(error.to_string()))?;
    let value = path.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    value.ok_or_else(|| bad(format!("the path has no {name}")))
}

/// The task that the path names.
pub(super) struct Named(pub(super) TaskHandle);

impl FromRequestParts<Arc<Desk>> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let id = NamedId::from_request_parts(parts, desk).await?.0;
        desk.host.task(id).map(Self).ok_or_else(|| Refusal::unknown_task(id))
    }
}

/// The id of the task that the path names, whether there is one or not.
pub(super) struct NamedId(pub(super) TaskId);

impl FromRequestParts<Arc<Desk>> for NamedId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        let id = part(parts, "id").await?;
        task_id(&id).map(Self).ok_or_else(|| bad("the path has no task's id: that is 32 hexadecimal digits"))
    }
}

/// The schedule that the path names, whether there is one or not.
pub(super) struct NamedSchedule(pub(super) ScheduleId);

impl FromRequestParts<Arc<Desk>> for NamedSchedule {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        let id = part(parts, "id").await?;
        schedule_id(&id).map(Self).ok_or_else(|| bad("the path has no schedule's id: that is 32 hexadecimal digits"))
    }
}

/// The number that a path ends with.
pub(super) struct Numbered<T>(pub(super) T);

impl FromRequestParts<Arc<Desk>> for Numbered<u32> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        part(parts, "number").await?.parse().map(Self).map_err(|_| bad("the path has no number"))
    }
}

impl FromRequestParts<Arc<Desk>> for Numbered<ApprovalNumber> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        let number = part(parts, "number").await?.parse();
        number.map(|number| Self(ApprovalNumber(number))).map_err(|_| bad("the path has no number"))
    }
}

/// The name that the path ends with.
pub(super) struct Called(pub(super) String);

impl FromRequestParts<Arc<Desk>> for Called {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        part(parts, "name").await.map(Self)
    }
}

/// The parameters.
pub(super) struct Params<Q>(pub(super) Q);

impl<Q: Query> FromRequestParts<Arc<Desk>> for Params<Q> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        let Parameters(pairs) = Parameters::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| bad(format!("the parameters cannot be read: {error}")))?;
        Ok(Self(Q::read(pairs)?))
    }
}

/// How long the client asks to wait: `Prefer: wait=SECONDS` (RFC 7240). What else it prefers is not looked at.
pub(super) struct Patience(pub(super) Option<Duration>);

impl FromRequestParts<Arc<Desk>> for Patience {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        wait(&parts.headers).map(Self)
    }
}

fn wait(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    for value in headers.get_all("prefer") {
        let text = value.to_str().map_err(|_| bad("the header Prefer cannot be read"))?;
        for preference in text.split([',', ';']) {
            if let Some(("wait", seconds)) = preference.split_once('=').map(|(name, value)| (name.trim(), value.trim()))
            {
                let seconds =
                    seconds.parse().map_err(|_| bad("the header Prefer has a wait that is no number of seconds"))?;
                return Ok(Some(Duration::from_secs(seconds)));
            }
        }
    }
    Ok(None)
}

/// A header as text; none when it is not there.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let read = |value: &'a HeaderValue| {
        value.to_str().map_err(|_| bad(format!("the header {name} has other characters than those of ASCII")))
    };
    headers.get(name).map(read).transpose()
}

/// A body that is JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Desk>> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let request = without_parameters(request, desk).await?;
        let kind = header(request.headers(), CONTENT_TYPE.as_str())?.map(str::to_owned);
        let bytes = bytes(request, desk, desk.bounds.body_bytes).await?;
        let is_json = |kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
        };
        if !kind.as_deref().is_some_and(is_json) {
            let detail = "the body is JSON here; say so with the header Content-Type: application/json";
            return Err(Refusal::new(ProblemKind::UnsupportedMediaType, detail));
        }
        parse(&bytes).map(Self)
    }
}

/// A body that is JSON, or is left out.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Desk>> for MaybeBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let request = without_parameters(request, desk).await?;
        let bytes = bytes(request, desk, desk.bounds.body_bytes).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

/// A body that is a plugin's file.
pub(super) struct Wasm(pub(super) Vec<u8>);

impl FromRequest<Arc<Desk>> for Wasm {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        bytes(request, desk, desk.bounds.plugin_bytes).await.map(|bytes| Self(bytes.into()))
    }
}

/// A request whose body says everything: it has no parameters.
async fn without_parameters(request: Request, desk: &Arc<Desk>) -> Result<Request, Refusal> {
    let (mut parts, body) = request.into_parts();
    let Params(()) = Params::from_request_parts(&mut parts, desk).await?;
    Ok(Request::from_parts(parts, body))
}

/// A whole body of so many bytes, if it comes in time.
async fn bytes(request: Request, desk: &Desk, max: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let detail = format!("the body has more than {max} bytes");
        Problem { max: u64::try_from(max).ok(), ..Problem::new(ProblemKind::TooLarge, detail) }
    };
    let said = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|length| length > max) {
        return Err(too_large().into());
    }
    tokio::select! {
        biased;
        read = to_bytes(request.into_body(), max) => read.map_err(|error| {
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                if inner.is::<hyper::Error>() {
                    return bad("the body broke off");
                }
                cause = inner.source();
            }
            too_large().into()
        }),
        () = desk.pause(desk.bounds.body_time) => {
            Err(Refusal::new(ProblemKind::RequestTimeout, "the body did not come in time"))
        }
    }
}

/// Reads JSON. What nobody knows is an error, at any depth.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("the body is no UTF-8"))?;
    // A short text can be values that take a hundred times its room. Depth is bounded by serde_json itself, to 128.
    json::check(text).map_err(|error| bad(format!("the body {error}")))?;
    let mut unknown = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut note = |path: serde_ignored::Path<'_>| {
        unknown.get_or_insert_with(|| path.to_string());
    };
    let strict = serde_ignored::Deserializer::new(&mut reader, &mut note);
    let value = serde_path_to_error::deserialize(strict).map_err(|error| {
        let (place, why) = (error.path().to_string(), error.inner());
        bad(if place == "." {
            format!("the body cannot be read: {why}")
        } else {
            format!("the body cannot be read at {place}: {why}")
        })
    })?;
    reader.end().map_err(|error| bad(format!("the body goes on after its value: {error}")))?;
    match unknown {
        Some(place) => Err(bad(format!("the body has {place:?}, which nobody knows here"))),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use crate::StartRequest;

    use super::*;

    fn start(text: &str) -> Result<StartRequest, String> {
        parse(text.as_bytes()).map_err(|refusal| refusal.problem().detail)
    }

    #[test]
    fn t30_a_request_is_read_strictly() {
        let least = start(r#"{"plugin":"p","task_type":"t"}"#).unwrap();
        assert_eq!(least, StartRequest::new("p", "t"));
        let typo = start(r#"{"plugin":"p","task_type":"t","details":{"sesion":"s"}}"#).unwrap_err();
        assert!(typo.contains("details.sesion"), "{typo}");
        let kind = start(r#"{"plugin":"p","task_type":"t","limits":{"fuel":"much"}}"#).unwrap_err();
        assert!(kind.contains("limits.fuel"), "{kind}");
        let deep =
            format!(r#"{{"plugin":"p","task_type":"t","input":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(start(&deep).is_err());
        let many = format!(r#"{{"plugin":"p","task_type":"t","input":[0{}]}}"#, ",0".repeat(200_000));
        assert!(start(&many).unwrap_err().contains("values"));
        assert!(parse::<StartRequest>(b"\xff").is_err());
        assert!(start("").is_err());
        assert!(start(r#"{"plugin":"p","task_type":"t"} x"#).is_err());
    }

    #[test]
    fn how_long_to_wait_is_said_in_seconds() {
        let wait = |text: &str| wait(&HeaderMap::from_iter([("prefer".parse().unwrap(), text.parse().unwrap())]));
        assert_eq!(wait("wait=10").unwrap(), Some(Duration::from_secs(10)));
        assert_eq!(wait("respond-async, wait = 1").unwrap(), Some(Duration::from_secs(1)));
        assert_eq!(wait("respond-async").unwrap(), None);
        assert!(wait("wait=soon").is_err());
        assert!(wait("wait=-1").is_err());
    }
}
