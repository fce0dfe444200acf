//! Follows a running task: shows what happens, asks the person, passes Ctrl-C on.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::cli::environment;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::progress::{Screen, labelled};
use crate::cli::prompt::{self, Answer, Person, Typed};
use crate::cli::text;
use crate::model::event::WaitEnd;
use crate::{
    CancelRequest, Event, EventBody, EventSeq, Limits, NotifyAnswer, Outcome, OutputCursor, OutputPage, Party,
    SignalKey, StoreError, TaskHandle,
};

use super::guest::GuestLines;
use super::stops::{Stop, Stops};

/// How often the time and the fuel on the screen are renewed.
const TICK: Duration = Duration::from_millis(100);

/// One task being followed.
#[derive(Debug)]
pub(super) struct Session<'a> {
    handle: &'a TaskHandle,
    screen: &'a mut Screen,
    stops: &'a mut Stops,
    grace: Duration,
    guest: GuestLines,
    cursor: OutputCursor,
    person: Person,
    can_ask: bool,
    asking: Option<SignalKey>,
    stops_seen: u32,
    limits: Limits,
    outcome: Option<Outcome>,
}

/// A task that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How.
    pub(super) outcome: Outcome,
    /// The limits it had.
    pub(super) limits: Limits,
    /// Whether Ctrl-C or SIGTERM asked it to.
    pub(super) interrupted: bool,
}

enum Happened {
    Event(Result<Option<Event>, StoreError>),
    Output(OutputPage),
    Stop(Stop),
    Typed(Typed),
    Tick,
}

impl<'a> Session<'a> {
    pub(super) fn new(handle: &'a TaskHandle, screen: &'a mut Screen, stops: &'a mut Stops, grace: Duration) -> Self {
        Self {
            handle,
            screen,
            stops,
            grace,
            guest: GuestLines::default(),
            cursor: OutputCursor::default(),
            person: Person::default(),
            can_ask: environment::can_ask(),
            asking: None,
            stops_seen: 0,
            limits: Limits::default(),
            outcome: None,
        }
    }

    /// Follows the task to its end. The screen is clear afterwards.
    pub(super) async fn follow(mut self) -> Result<Ended, Fault> {
        let mut events = self.handle.events(EventSeq::default());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let live = self.screen.is_live();
        loop {
            let happened = tokio::select! {
                event = events.next() => Happened::Event(event),
                page = self.handle.output_after(self.cursor) => Happened::Output(page),
                stop = self.stops.next() => Happened::Stop(stop),
                typed = self.person.typed(), if self.asking.is_some() => Happened::Typed(typed),
                _ = ticks.tick(), if live => Happened::Tick,
            };
            match happened {
                Happened::Event(Ok(Some(event))) => self.on_event(event.body),
                Happened::Event(Ok(None)) => break,
                Happened::Event(Err(error)) => return Err(Fault::new(Exit::Host, error)),
                Happened::Output(page) => self.on_output(&page),
                Happened::Stop(stop) => self.on_stop(stop).await?,
                Happened::Typed(typed) => self.on_typed(typed).await,
                Happened::Tick => self.screen.tick(&self.handle.state().usage),
            }
        }
        self.screen.withdraw("The task has ended.");
        let page = self.handle.output(self.cursor);
        self.on_output(&page);
        for line in self.guest.finish() {
            self.screen.line(&line);
        }
        self.screen.clear();
        let outcome = match self.outcome {
            Some(outcome) => outcome,
            None => self.handle.wait().await,
        };
        Ok(Ended { outcome, limits: self.limits, interrupted: self.stops_seen > 0 })
    }

    fn on_event(&mut self, event: EventBody) {
        match event {
            EventBody::Created { limits, .. } => self.limits = limits,
            EventBody::Progress { message, percent, .. } => self.screen.progress(&message, percent),
            EventBody::WaitStarted { key, timeout, .. } => self.on_wait(key, timeout),
            EventBody::WaitEnded { reason, .. } => {
                self.asking = None;
                self.screen.withdraw(match reason {
                    WaitEnd::TimedOut => "Its time is over: the task goes on without an answer.",
                    WaitEnd::Cancelled => "No answer is needed any more: the task shall stop.",
                    WaitEnd::WaitCancelled => "No answer is needed any more.",
                });
            }
            EventBody::SignalTaken { key } if self.asking.as_ref() == Some(&key) => {
                self.asking = None;
                self.screen.withdraw("The signal came from elsewhere.");
            }
            EventBody::AgentMessage { message, trigger } => {
                self.screen.line(&labelled(if trigger { "agent!" } else { "agent" }, &message));
            }
            EventBody::ArtifactAttached(artifact) => {
                let size = text::bytes(artifact.size);
                self.screen.line(&labelled("file", &format!("{} ({}, {size})", artifact.name, artifact.media_type)));
            }
            EventBody::Finished { outcome, .. } => self.outcome = Some(outcome),
            // What the task did is shown when it ends; what was done from here is known.
            EventBody::Started
            | EventBody::SignalReceived { .. }
            | EventBody::SignalTaken { .. }
            | EventBody::SignalSent { .. }
            | EventBody::Paused { .. }
            | EventBody::Resumed { .. }
            | EventBody::FuelRequested { .. }
            | EventBody::FuelAdded { .. }
            | EventBody::FuelRefused { .. }
            | EventBody::FuelRequestEnded { .. }
            | EventBody::BudgetLow { .. }
            | EventBody::Stalled { .. }
            | EventBody::Panicked { .. }
            | EventBody::CancelRequested(_) => {}
        }
    }

    fn on_wait(&mut self, key: SignalKey, timeout: Option<Duration>) {
        if self.can_ask && self.person.listen().is_ok() {
            self.screen.ask(&prompt::question(&key));
            self.asking = Some(key);
            return;
        }
        let time = timeout.map(|time| format!(" for at most {}", text::elapsed(time))).unwrap_or_default();
        let flag = text::shell_word(&format!("{key}=true"));
        let advice = format!("there is no terminal to ask on; give it in advance: --signal {flag}");
        self.screen.say(&labelled("wait", &format!("the task waits for the signal `{key}`{time}; {advice}")));
    }

    fn on_output(&mut self, page: &OutputPage) {
        self.cursor = page.next;
        for line in self.guest.take(page) {
            self.screen.line(&line);
        }
    }

    async fn on_typed(&mut self, typed: Typed) {
        let Some(key) = self.asking.take() else { return };
        match typed {
            Typed::Closed => {
                self.can_ask = false;
                self.screen
                    .withdraw(&format!("Nobody answers: stdin is closed. The task goes on waiting for `{key}`."));
            }
            Typed::Line(line) => {
                self.screen.answered();
                match prompt::answer(&line) {
                    Answer::Payload(payload) => match self.handle.notify(key, payload, Party::Person).await {
                        NotifyAnswer::Delivered | NotifyAnswer::Buffered => {}
                        NotifyAnswer::NoTask => self.screen.say("The task has ended already."),
                        NotifyAnswer::Full => {
                            self.screen.say("The task keeps too many signals; this one is not taken.");
                        }
                    },
                    Answer::Unclear(why) => {
                        self.screen.say(&why);
                        self.on_wait(key, None);
                    }
                }
            }
        }
    }

    async fn on_stop(&mut self, stop: Stop) -> Result<(), Fault> {
        self.stops_seen += 1;
        let name = stop.name();
        match self.stops_seen {
            1 => {
                let grace = text::duration_flag(self.grace);
                // Every wait ends with it.
                self.asking = None;
                self.screen
                    .say_instead(&format!("{name}: the task has {grace} to end by itself; once more stops it at once"));
                self.handle.cancel(CancelRequest::new(Party::Person, name).grace(self.grace)).await;
            }
            2 => {
                self.screen.say(&format!("{name} again: stopping the task where it is"));
                self.handle.cancel(CancelRequest::force(Party::Person, name)).await;
            }
            _ => {
                self.screen.clear();
                return Err(Fault::silent(Exit::Interrupted));
            }
        }
        Ok(())
    }
}
