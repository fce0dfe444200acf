//! One request, from the guest's wish to the server's answer.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use crate::model::grants::touch::Touch;
use crate::model::policy::mandate::Denied;

use super::bodies::{Answered, Outgoing, Progress};
use super::check::{Checked, HEADER_BYTES_MAX, HEADERS_MAX, check, header_bytes};
use super::connect::{Connection, in_time, open};
use super::secrets::{Misplaced, TOLD, hide};
use super::{Answer, Line, stopped};

/// How long it may take to find a host, reach it and agree on the encryption. A guest may lower each of these for its
/// request, and raises none.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a server may think about its answer, from the request's last piece on: models take minutes.
const FIRST_BYTE: Duration = Duration::from_mins(5);
/// How long a server may be silent in the middle of its answer.
const BETWEEN_BYTES: Duration = Duration::from_mins(2);

/// The rule that says where secrets may stand.
pub(super) const SECRETS: &str = "secrets";

/// Sends a request, unless the task is asked to stop meanwhile.
pub(super) async fn send(line: Line, request: Request<WasiBody>, options: RequestOptions) -> Answer {
    let stop = stopped(&line.link);
    tokio::select! {
        biased;
        () = stop => Err(asked_to_stop()),
        answer = Box::pin(exchange(line, request, options)) => answer,
    }
}

pub(super) fn asked_to_stop() -> Error {
    Error::InternalError(Some("the task was asked to stop".to_owned()))
}

impl Line {
    /// Whether the task may do this now; waits for the answer when somebody has to be asked. The only place where requests
    /// are decided about.
    async fn allowed(&self, touch: Touch) -> Result<(), Error> {
        // Requests may be under way beside each other, and a task asks one thing at a time.
        let _turn = if self.link.has_to_ask(&touch) { self.asking.acquire().await.ok() } else { None };
        self.link.permitted(touch).await.map_err(|denied| {
            self.refuse(&denied.to_string());
            Error::HttpRequestDenied
        })
    }

    /// Denies something that no rule speaks about, because of what is known by now only.
    pub(super) async fn deny(&self, touch: &Touch, rule: &str, why: String) {
        let (denied, in_row) = self.count(touch, rule, why);
        self.link.denied(rule, denied, in_row).await;
    }

    /// The same where nobody can wait: it is told and counted, and somebody who waits has it put into the log.
    pub(super) fn count(&self, touch: &Touch, rule: &str, why: String) -> (Denied, u32) {
        self.refuse(&why);
        let denied = Denied::of(touch, why, false);
        let in_row = self.link.mandate.count_denial(&denied, rule);
        (denied, in_row)
    }

    /// Tells the task's log why a request was not sent: the guest's error has no words for it.
    pub(super) fn refuse(&self, why: &str) {
        let _is_over = self.link.output.log("warn", "taskcell".to_owned(), why);
    }
}

async fn exchange(line: Line, request: Request<WasiBody>, options: RequestOptions) -> Answer {
    let checked = check(&request).inspect_err(|error| line.refuse(&format!("a request was refused: {error}")))?;
    // Before anybody is asked about it, and before the name is looked up: a guest that knows a secret tells it to nobody.
    if line.placeholders.is_told_by(request.uri(), request.headers()) {
        line.deny(&Touch::Http(checked.touch.clone()), SECRETS, TOLD.to_owned()).await;
        return Err(Error::HttpRequestDenied);
    }
    line.allowed(Touch::Http(checked.touch.clone())).await?;
    let mandate = Arc::clone(&line.link.mandate);
    let answer = carry_out(line, checked, request, options).await;
    if !matches!(answer, Err(Error::HttpRequestDenied | Error::DestinationIpProhibited)) {
        mandate.keeps_within();
    }
    answer
}

/// Sends a request that may be sent, as far as its target tells.
async fn carry_out(line: Line, checked: Checked, request: Request<WasiBody>, options: RequestOptions) -> Answer {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let has_secret = put_secrets(&line, &checked, &mut headers).await?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length > Some(line.body_bytes) {
        return Err(Error::HttpRequestBodySize(length));
    }
    headers.insert(header::HOST, checked.host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));

    let lowered = |most: Duration, wish: Option<Duration>| wish.map_or(most, |wish| wish.min(most));
    let open_one = Arc::clone(&line.connections).try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
    let time = lowered(CONNECT, options.connect_timeout);
    let connection =
        in_time(&*line.clock, time, open(&line, &checked.touch)).await.ok_or(Error::ConnectionTimeout)??;

    let progress = Arc::new(Progress::default());
    let mut request = Request::new(Outgoing::new(body, &line, (&progress, &checked.touch)));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (parts.method, checked.target, headers);
    let time = lowered(FIRST_BYTE, options.first_byte_timeout);
    let (response, worker) = converse(&line, connection, request, (&progress, time)).await?;

    let between = lowered(BETWEEN_BYTES, options.between_bytes_timeout);
    let response = looked_at(&line, response, has_secret)?;
    Ok((response.map(|server| Answered::new(server, &line, between, open_one).boxed_unsync()), worker))
}

/// Puts the task's secrets in their place. Says whether there was one.
async fn put_secrets(line: &Line, request: &Checked, headers: &mut HeaderMap) -> Result<bool, Error> {
    let rule_of = |name: &str| line.link.mandate.secret_rule(name);
    let used = match line.placeholders.used(request, headers, rule_of) {
        Ok(used) => used,
        Err(misplaced) => return Err(misplaced_in(line, misplaced).await),
    };
    for placeholder in &used {
        line.allowed(Touch::Secret(placeholder.name.clone())).await?;
    }
    // The policy may be another one since somebody was asked.
    if let Err(misplaced) = line.placeholders.put(request, headers, rule_of) {
        return Err(misplaced_in(line, misplaced).await);
    }
    if !used.is_empty() {
        // In what is compressed nobody finds the secret again.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(!used.is_empty())
}

async fn misplaced_in(line: &Line, Misplaced { name, why }: Misplaced) -> Error {
    line.deny(&Touch::Secret(name), SECRETS, why).await;
    Error::HttpRequestDenied
}

type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Sends the request and waits for the head of the response. What is left of the connection is to be polled for its body.
async fn converse(
    line: &Line,
    connection: Box<dyn Connection>,
    request: Request<Outgoing>,
    (progress, time): (&Arc<Progress>, Duration),
) -> Result<(Response<Incoming>, Worker), Error> {
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_header_size(HEADER_BYTES_MAX);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(connection)).await.map_err(|error| server_error(&error))?;
    let mut connection = Some(Box::pin(connection));
    let answered = {
        let mut sent = pin!(sender.send_request(request));
        let mut both = pin!(poll_fn(|cx| {
            if let Poll::Ready(answered) = sent.as_mut().poll(cx) {
                return Poll::Ready(answered);
            }
            if connection.as_mut().is_some_and(|it| Pin::new(it).poll(cx).is_ready()) {
                // Its error comes by the other way.
                connection = None;
                return sent.as_mut().poll(cx);
            }
            Poll::Pending
        }));
        loop {
            let pieces = progress.pieces();
            match in_time(&*line.clock, time, both.as_mut()).await {
                Some(answered) => break answered,
                None if progress.pieces() == pieces => return Err(Error::ConnectionReadTimeout),
                // It is still being sent.
                None => {}
            }
        }
    };
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            progress.tell_denial(&line.link).await;
            return Err(progress.take_fault().unwrap_or_else(|| server_error(&error)));
        }
    };
    let (cell, progress) = (line.link.clone(), Arc::clone(progress));
    let worker = async move {
        if let Some(connection) = connection {
            // The body's reader is told.
            let _ = connection.await;
        }
        // A server may answer before it has the whole request.
        progress.tell_denial(&cell).await;
        Ok(())
    };
    Ok((response, Box::new(worker)))
}

/// A server's fault, or the network's.
pub(super) fn server_error(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_incomplete_message() || is_cut_short(error) {
        Error::HttpResponseIncomplete
    } else if error.is_closed() || error.is_canceled() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

/// Whether the connection ended in the middle of a body.
fn is_cut_short(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let mut faults = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    faults.any(|fault| fault.kind() == io::ErrorKind::UnexpectedEof)
}

/// Whether the head of a response is one that a guest may see, without any secret in it.
fn looked_at<B: hyper::body::Body>(line: &Line, response: Response<B>, has_secret: bool) -> Result<Response<B>, Error> {
    let (mut parts, body) = response.into_parts();
    let headers = &parts.headers;
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    // Somebody on the way may have read another length.
    if headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Error::HttpProtocolError);
    }
    let bytes = header_bytes(headers);
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Error::HttpResponseHeaderSectionSize(u32::try_from(bytes).ok()));
    }
    if has_secret && let Some(coding) = coding(headers) {
        return Err(Error::HttpResponseContentCoding(Some(coding)));
    }
    let least = body.size_hint().lower();
    if least > line.body_bytes {
        return Err(Error::HttpResponseBodySize(Some(least)));
    }
    hide(&line.client.secrets, &mut parts.headers);
    Ok(Response::from_parts(parts, body))
}

/// In which form the body is sent, if in another than its own.
fn coding(headers: &HeaderMap) -> Option<String> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let other = codings.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    other.into_iter().find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}
