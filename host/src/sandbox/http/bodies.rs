//! What flows through a request, counted, and looked at for secrets.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::model::grants::http::HttpTouch;
use crate::model::grants::touch::Touch;
use crate::model::policy::mandate::Denied;
use crate::ports::clock::{BoxFuture, Clock};
use crate::ports::runner::CellLink;
use crate::ports::secrets::{Screen, Secrets};

use super::secrets::{Found, Placeholders, TOLD, hide, nowhere_else};
use super::send::SECRETS;
use super::{Line, Tally, stopped};

/// Bytes that a guest writes into a request at once. What is on its way is in the host's memory.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Counts one body, and all of the task's.
#[derive(Debug)]
struct Meter {
    bytes: u64,
    most: u64,
    tally: Arc<Tally>,
}

impl Meter {
    fn new(line: &Line) -> Self {
        Self { bytes: 0, most: line.body_bytes, tally: Arc::clone(&line.tally) }
    }

    /// Counts these. Says whether there may be so many.
    fn count(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.bytes = self.bytes.saturating_add(bytes);
        let all = self.tally.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.bytes <= self.most && all <= self.tally.most
    }
}

/// What the two ends of a request's body tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Pieces that have gone out.
    pieces: AtomicU64,
    /// Why no more did.
    fault: Mutex<Option<Error>>,
    /// What was denied because of it, and how many times in a row something was; not in the task's log yet.
    denied: Mutex<Option<(Denied, u32)>>,
}

impl Progress {
    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    pub(super) fn take_fault(&self) -> Option<Error> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has in the task's log what was denied, if anything was: too many of them end it.
    pub(super) async fn tell_denial(&self, link: &CellLink) {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((denied, in_row)) = denied {
            link.denied(SECRETS, denied, in_row).await;
        }
    }

    fn fail(&self, error: Error) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// A request's body.
pub(super) struct Outgoing {
    guest: WasiBody,
    meter: Meter,
    line: Line,
    touch: HttpTouch,
    /// The end of what has gone out, as far as a placeholder or a secret may have begun there.
    tail: Vec<u8>,
    progress: Arc<Progress>,
}

impl Outgoing {
    pub(super) fn new(guest: WasiBody, line: &Line, (progress, touch): (&Arc<Progress>, &HttpTouch)) -> Self {
        let (meter, progress) = (Meter::new(line), Arc::clone(progress));
        Self { guest, meter, line: line.clone(), touch: touch.clone(), tail: Vec::new(), progress }
    }

    fn look_at(&mut self, frame: &Frame<Bytes>) -> Result<(), Error> {
        if let Some(data) = frame.data_ref() {
            self.progress.pieces.fetch_add(1, Ordering::Relaxed);
            if !self.meter.count(data.len()) {
                return Err(Error::HttpRequestBodySize(Some(self.meter.bytes)));
            }
            return self.look_for_secrets(&Arc::clone(&self.line.placeholders), data);
        }
        let trailers: Vec<u8> = frame
            .trailers_ref()
            .into_iter()
            .flat_map(|trailers| trailers.iter())
            .flat_map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat())
            .collect();
        if !self.meter.count(trailers.len()) {
            return Err(Error::HttpRequestBodySize(Some(self.meter.bytes)));
        }
        self.tail.clear();
        self.look_for_secrets(&Arc::clone(&self.line.placeholders), &trailers)
    }

    fn look_for_secrets(&mut self, placeholders: &Placeholders, data: &[u8]) -> Result<(), Error> {
        let longest = placeholders.longest();
        if longest == 0 {
            return Ok(());
        }
        self.tail.extend_from_slice(data);
        if let Some(found) = placeholders.find(&self.tail) {
            let (touch, why) = match found {
                Found::Placeholder(name) => (Touch::Secret(name.clone()), nowhere_else(&name)),
                Found::Value => (Touch::Http(self.touch.clone()), TOLD.to_owned()),
            };
            let counted = self.line.count(&touch, SECRETS, why);
            *self.progress.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
            return Err(Error::HttpRequestDenied);
        }
        let kept = self.tail.len().min(longest);
        self.tail.drain(..self.tail.len() - kept);
        Ok(())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.guest).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.and_then(|frame| self.look_at(&frame).map(|()| frame));
        Poll::Ready(Some(frame.map_err(|error| {
            self.progress.fail(error);
            // The other end has the error itself.
            Error::HttpRequestDenied
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.guest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.guest.size_hint()
    }
}

/// A response's body.
pub(super) struct Answered {
    server: Incoming,
    meter: Meter,
    secrets: Arc<Secrets>,
    screen: Screen,
    clock: Arc<dyn Clock>,
    /// How long the server may say nothing.
    between: Duration,
    silence: Option<BoxFuture<'static, ()>>,
    stop: BoxFuture<'static, ()>,
    /// The request counts as open until its answer is read or dropped.
    open: Option<OwnedSemaphorePermit>,
    /// What follows when everything was passed on.
    end: Option<End>,
}

enum End {
    Trailers(HeaderMap),
    Nothing,
}

impl Answered {
    pub(super) fn new(server: Incoming, line: &Line, between: Duration, open: OwnedSemaphorePermit) -> Self {
        Self {
            server,
            meter: Meter::new(line),
            secrets: Arc::clone(&line.client.secrets),
            screen: Screen::new(Arc::clone(&line.client.secrets)),
            clock: Arc::clone(&line.clock),
            between,
            silence: None,
            stop: stopped(&line.link),
            open: Some(open),
            end: None,
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(super::send::asked_to_stop());
        }
        let silence = self.silence.get_or_insert_with(|| {
            let until = self.clock.steady().saturating_add(self.between);
            self.clock.sleep_until(until)
        });
        silence.as_mut().poll(cx).map(|()| Error::ConnectionReadTimeout)
    }

    /// What the guest gets of a piece; nothing when all of it is held back.
    fn passed(&mut self, data: Bytes) -> Option<Result<Bytes, Error>> {
        if !self.meter.count(data.len()) {
            return Some(Err(Error::HttpResponseBodySize(Some(self.meter.bytes))));
        }
        if self.screen.is_idle() {
            return Some(Ok(data));
        }
        let passed = self.screen.pass(data.into());
        (!passed.is_empty()).then(|| Ok(passed.into()))
    }

    fn ended(&mut self) -> Option<Frame<Bytes>> {
        let rest = self.screen.rest();
        if !rest.is_empty() {
            return Some(Frame::data(rest.into()));
        }
        match self.end.replace(End::Nothing) {
            Some(End::Trailers(trailers)) => Some(Frame::trailers(trailers)),
            Some(End::Nothing) | None => None,
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if self.end.is_some() {
                return Poll::Ready(self.ended().map(Ok));
            }
            let Poll::Ready(frame) = Pin::new(&mut self.server).poll_frame(cx) else {
                let error = ready!(self.wait(cx));
                return Poll::Ready(Some(Err(error)));
            };
            self.silence = None;
            if !matches!(frame, Some(Ok(_))) {
                self.open = None;
            }
            match frame {
                None => self.end = Some(End::Nothing),
                Some(Err(error)) => return Poll::Ready(Some(Err(super::send::server_error(&error)))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(passed) = self.passed(data) {
                            return Poll::Ready(Some(passed.map(Frame::data)));
                        }
                    }
                    Err(frame) => {
                        let mut trailers = frame.into_trailers().unwrap_or_default();
                        hide(&self.secrets, &mut trailers);
                        self.end = Some(End::Trailers(trailers));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, Some(End::Nothing)) && self.screen.is_idle()
    }
}
