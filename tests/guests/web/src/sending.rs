//! The requests themselves.

use serde_json::{Value, json};
use wasip2::http::outgoing_handler::{FutureIncomingResponse, handle};
use wasip2::http::types::{
    Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

use crate::Wish;

/// Bytes of a body that are returned; the others are counted.
const KEPT: usize = 64 << 10;
/// Bytes in one write to a body's stream.
const WRITE: usize = 4096;

pub(crate) fn send(wish: &Wish) -> Value {
    begin(wish).and_then(|open| answered(&open)).and_then(read).unwrap_or_else(|error| json!({ "error": error }))
}

/// Bytes of a gzip stream before what is packed, when it says nothing more about itself.
const GZIP_HEAD: usize = 10;

pub(crate) fn unpack(wish: &Wish) -> Value {
    let unpacked = begin(wish).and_then(|open| answered(&open)).and_then(|response| {
        let body = response.consume().map_err(|()| "no body".to_owned())?;
        let (packed, _, error) = drain(&body, usize::MAX);
        error.map_or(Ok(()), Err)?;
        let packed = packed.get(GZIP_HEAD..).unwrap_or_default();
        miniz_oxide::inflate::decompress_to_vec(packed).map_err(|error| error.to_string())
    });
    unpacked.map_or_else(|error| json!({ "error": error }), |all| json!({ "bytes": all.len() }))
}

pub(crate) fn send_at_once(wishes: &[Wish]) -> Vec<Value> {
    let open: Vec<_> = wishes.iter().map(begin).collect();
    let answered: Vec<_> = open.iter().map(|open| open.as_ref().map_err(Clone::clone).and_then(answered)).collect();
    answered.into_iter().map(|it| it.and_then(read).unwrap_or_else(|error| json!({ "error": error }))).collect()
}

fn filled(text: &str) -> String {
    std::env::vars().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), &value))
}

fn fields(headers: &[(String, String)]) -> Result<Fields, String> {
    let filled: Vec<_> = headers.iter().map(|(name, value)| (filled(name), filled(value).into_bytes())).collect();
    Fields::from_list(&filled).map_err(|error| format!("{error:?}"))
}

fn begin(wish: &Wish) -> Result<FutureIncomingResponse, String> {
    let request = OutgoingRequest::new(fields(&wish.headers)?);
    let method = match wish.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match wish.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let bad = |what: &str| format!("{what} cannot be set");
    request.set_method(&method).map_err(|()| bad("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| bad("scheme"))?;
    request.set_authority(Some(&wish.authority)).map_err(|()| bad("authority"))?;
    request.set_path_with_query(Some(&filled(&wish.path))).map_err(|()| bad("path"))?;
    let options = RequestOptions::new();
    let nanos = |ms: Option<u64>| ms.map(|ms| ms * 1_000_000);
    options.set_connect_timeout(nanos(wish.connect_ms)).map_err(|()| bad("connect"))?;
    options.set_first_byte_timeout(nanos(wish.first_byte_ms)).map_err(|()| bad("first byte"))?;
    options.set_between_bytes_timeout(nanos(wish.between_bytes_ms)).map_err(|()| bad("between bytes"))?;
    let body = match &wish.body {
        None => None,
        Some(text) => Some((request.body().map_err(|()| bad("body"))?, filled(text))),
    };
    let open = handle(request, Some(options)).map_err(|error| format!("{error:?}"))?;
    if let Some((body, text)) = body {
        // What the host says about it is said in its answer.
        let _ = write(&body, &text, wish.repeat);
        let trailers = if wish.trailers.is_empty() { None } else { Some(fields(&wish.trailers)?) };
        let _ = OutgoingBody::finish(body, trailers);
    }
    Ok(open)
}

fn write(body: &OutgoingBody, text: &str, repeat: u32) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else { return Ok(()) };
    for _ in 0..repeat {
        for piece in text.as_bytes().chunks(WRITE) {
            stream.blocking_write_and_flush(piece)?;
        }
    }
    Ok(())
}

fn answered(open: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    open.subscribe().block();
    match open.get() {
        Some(Ok(answer)) => answer.map_err(|error| format!("{error:?}")),
        Some(Err(())) | None => Err("no answer".to_owned()),
    }
}

fn read(response: IncomingResponse) -> Result<Value, String> {
    let headers: Vec<_> = response
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let mut answer = json!({ "status": response.status(), "headers": headers });
    let body = response.consume().map_err(|()| "no body".to_owned())?;
    let (kept, bytes, error) = drain(&body, KEPT);
    answer["body"] = String::from_utf8_lossy(&kept).into();
    answer["bytes"] = bytes.into();
    if let Some(error) = error {
        answer["body_error"] = error.into();
    }
    Ok(answer)
}

/// Reads a body to its end, and keeps so many bytes of it.
fn drain(body: &IncomingBody, most: usize) -> (Vec<u8>, u64, Option<String>) {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    let Ok(stream) = body.stream() else { return (kept, bytes, Some("no stream".to_owned())) };
    loop {
        match stream.blocking_read(KEPT as u64) {
            Ok(piece) => {
                bytes += piece.len() as u64;
                let room = most.saturating_sub(kept.len()).min(piece.len());
                kept.extend(piece.into_iter().take(room));
            }
            Err(StreamError::Closed) => return (kept, bytes, None),
            Err(StreamError::LastOperationFailed(error)) => return (kept, bytes, Some(error.to_debug_string())),
        }
    }
}
