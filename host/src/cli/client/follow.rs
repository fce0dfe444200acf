//! What goes on when the server was started again: waiting for a task, and following what happens to it.

use std::pin::Pin;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use eventsource_stream::{Event as Received, EventStreamError, Eventsource as _};
use futures_util::{Stream, StreamExt as _};
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::cli::output::talk;
use crate::serve::wire::{EventQuery, event_names};
use crate::{Event, EventBody, EventSeq, Outcome, OutputQuery, OutputText, TaskId};

use super::calls::Looked;
use super::connect::Client;
use super::error::CallError;

/// How long the server is asked to wait at a time: short enough that a server that hangs is found out about.
const WAIT: Duration = Duration::from_secs(30);
/// Between two tries to reach a server that is gone.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tries again, with pauses, and says so once.
pub(super) struct Patience {
    pauses: ExponentialBackoff,
    said: bool,
    /// Whether somebody else says it.
    quiet: bool,
}

fn pauses() -> ExponentialBackoff {
    let builder = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
    builder.with_jitter().without_max_times().build()
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { pauses: pauses(), said: false, quiet: false }
    }

    /// That says nothing, beside another that does.
    fn quiet() -> Self {
        Self { quiet: true, ..Self::new() }
    }

    /// It worked.
    pub(super) fn renew(&mut self) {
        if self.said {
            talk("the server is there again");
        }
        *self = Self { quiet: self.quiet, ..Self::new() };
    }

    /// Waits a while, when the error may pass.
    pub(super) async fn after(&mut self, error: CallError) -> Result<(), CallError> {
        if !error.is_passing() {
            return Err(error);
        }
        if !self.said && !self.quiet {
            self.said = true;
            talk(&format!("{error}; going on as soon as it is there again"));
        }
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        backon::Sleeper::sleep(&backon::TokioSleeper, pause).await;
        Ok(())
    }
}

impl Client {
    /// Waits until a task has its outcome, also when the server is started again meanwhile.
    pub(in crate::cli) async fn wait(&self, id: TaskId) -> Result<Outcome, CallError> {
        let mut patience = Patience::new();
        loop {
            // A server that is there again says so at once.
            let time = if patience.said { Duration::ZERO } else { WAIT };
            match self.look(id, time).await {
                Ok(Looked::Ended(outcome)) => return Ok(outcome),
                Ok(Looked::StillRunning) => patience.renew(),
                Err(error) => patience.after(error).await?,
            }
        }
    }

    /// Some of a task's output, also when the server is started again meanwhile. `quiet`: somebody else says that it was.
    pub(in crate::cli) async fn patient_output(
        &self,
        id: TaskId,
        query: &OutputQuery,
        quiet: bool,
    ) -> Result<OutputText, CallError> {
        let mut patience = if quiet { Patience::quiet() } else { Patience::new() };
        loop {
            match self.output(id, query).await {
                Ok(output) => {
                    patience.renew();
                    return Ok(output);
                }
                Err(error) => patience.after(error).await?,
            }
        }
    }

    /// Follows one task's events, from after this one on to its end.
    pub(in crate::cli) fn follow(&self, id: TaskId, after: EventSeq) -> TaskEvents {
        TaskEvents { client: self.clone(), id, after, stream: None, patience: Patience::new(), ended: false }
    }

    /// Opens a stream; none when there is nothing more to come.
    pub(super) async fn stream(
        &self,
        request: reqwest::RequestBuilder,
        last: Option<&str>,
    ) -> Result<Option<Events>, CallError> {
        let mut request = request.header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = self.send(request).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        Ok(Some(Box::pin(answer.bytes_stream().eventsource())))
    }

    /// The next event of a stream; none at its end.
    pub(super) async fn received(&self, stream: &mut Events) -> Result<Option<Received>, CallError> {
        match stream.next().await {
            None => Ok(None),
            Some(Ok(event)) if event.event == event_names::PROBLEM => Err(CallError::Problem(Box::new(data(&event)?))),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(EventStreamError::Transport(error))) => Err(CallError::of(error, self.data())),
            Some(Err(error @ (EventStreamError::Utf8(_) | EventStreamError::Parser(_)))) => {
                Err(CallError::Unreadable(error.to_string()))
            }
        }
    }
}

/// A stream of server-sent events.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<Received, EventStreamError<reqwest::Error>>> + Send>>;

/// What an event carries.
pub(super) fn data<T: DeserializeOwned>(event: &Received) -> Result<T, CallError> {
    serde_json::from_str(&event.data).map_err(|error| CallError::Unreadable(error.to_string()))
}

/// One task's events, in order and once each, also when the server is started again meanwhile.
pub(in crate::cli) struct TaskEvents {
    client: Client,
    id: TaskId,
    after: EventSeq,
    stream: Option<Events>,
    patience: Patience,
    ended: bool,
}

impl TaskEvents {
    /// The next event; none after the last.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Event>, CallError> {
        while !self.ended {
            match self.step().await {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => {
                    self.stream = None;
                    self.patience.after(error).await?;
                }
            }
        }
        Ok(None)
    }

    async fn step(&mut self) -> Result<Option<Event>, CallError> {
        let Some(stream) = &mut self.stream else {
            let query = EventQuery { after: self.after, limit: None };
            let request = self.client.request(Method::GET, &["tasks", &self.id.to_string(), "events"], &query);
            self.stream = self.client.stream(request, None).await?;
            self.ended = self.stream.is_none();
            return Ok(None);
        };
        let Some(received) = self.client.received(stream).await? else {
            return Err(CallError::Closed);
        };
        self.patience.renew();
        if received.event != event_names::EVENT {
            return Ok(None);
        }
        let event: Event = data(&received)?;
        self.after = event.seq;
        self.ended = matches!(event.body, EventBody::Finished { .. });
        Ok(Some(event))
    }
}
