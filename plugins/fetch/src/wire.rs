//! One request over `wasi:http`.

use std::collections::BTreeMap;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

use crate::answer::Answer;
use crate::redirect::Request;

/// Bytes that a stream takes in one call.
const WRITE: usize = 4096;
/// Bytes that are read in one call.
const READ: u64 = 64 << 10;

/// Sends it and reads the answer, of at most so many bytes.
pub(crate) fn send(request: &Request, most: usize) -> Result<Answer, String> {
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    let fields = Fields::from_list(&headers).map_err(|error| format!("its headers cannot be sent: {error}"))?;
    let outgoing = OutgoingRequest::new(fields);
    let unfit = |()| "its parts do not make a request".to_owned();
    outgoing.set_method(&Method::Other(request.method.clone())).map_err(unfit)?;
    let scheme = if request.url.scheme() == "http" { Scheme::Http } else { Scheme::Https };
    outgoing.set_scheme(Some(&scheme)).map_err(unfit)?;
    outgoing.set_authority(Some(request.url.authority())).map_err(unfit)?;
    let path = match request.url.query() {
        Some(query) => format!("{}?{query}", request.url.path()),
        None => request.url.path().to_owned(),
    };
    outgoing.set_path_with_query(Some(&path)).map_err(unfit)?;
    let body = match &request.body {
        Some(text) => Some((outgoing.body().map_err(unfit)?, text)),
        None => None,
    };
    let open = handle(outgoing, None).map_err(|error| sentence(&error))?;
    if let Some((body, text)) = body {
        // Why it could not be written is in the answer's error.
        let _ = write(&body, text);
        let _ = OutgoingBody::finish(body, None);
    }
    open.subscribe().block();
    match open.get() {
        Some(Ok(answer)) => read(&answer.map_err(|error| sentence(&error))?, most),
        Some(Err(())) | None => Err("there was no answer".to_owned()),
    }
}

fn write(body: &OutgoingBody, text: &str) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else { return Ok(()) };
    text.as_bytes().chunks(WRITE).try_for_each(|piece| stream.blocking_write_and_flush(piece))
}

fn read(response: &IncomingResponse, most: usize) -> Result<Answer, String> {
    let entries = response.headers().entries();
    let headers: BTreeMap<_, _> =
        entries.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
    let body = response.consume().map_err(|()| "the answer has no body".to_owned())?;
    Ok(Answer { status: response.status(), headers, body: read_body(&body, most)? })
}

fn read_body(body: &IncomingBody, most: usize) -> Result<Vec<u8>, String> {
    let stream = body.stream().map_err(|()| "the answer's body cannot be read".to_owned())?;
    let mut read = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(piece) => read.extend(piece),
            Err(StreamError::Closed) => return Ok(read),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
        if read.len() > most {
            return Err(format!("the answer is larger than {most} bytes"));
        }
    }
}

/// What a code means for whoever reads it. The host's log says more about what it denied.
fn sentence(error: &ErrorCode) -> String {
    match error {
        ErrorCode::HttpRequestDenied => "the host denied the request; its log says why".to_owned(),
        ErrorCode::DestinationIpProhibited => "the host does not let it go to that address".to_owned(),
        ErrorCode::DnsError(_) => "there is no such host".to_owned(),
        other => format!("{other}"),
    }
}
