//! Follows a running task: shows what happens, asks the person, passes Ctrl-C on.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::cli::environment;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::progress::{Moment, Screen, labelled};
use crate::cli::prompt::{self, Answer, Person, Typed};
use crate::cli::text;
use crate::{
    Budget, CancelRequest, Event, EventBody, EventSeq, Limits, NotifyAnswer, Outcome, OutputCursor, OutputPage, Party,
    SignalKey, StoreError, TaskHandle,
};

use super::guest::GuestLines;
use super::happenings::{self, Question};
use super::stops::{Stop, Stops};

/// How often the time and the fuel on the screen are renewed.
const TICK: Duration = Duration::from_millis(100);

/// Why nobody can be asked.
const NO_TERMINAL: &str = "there is no terminal to ask on";
const STDIN_CLOSED: &str = "stdin is closed, so nobody answers";
const NO_THREAD: &str = "there is no thread to read an answer with";

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
    /// Why nobody can be asked, if so.
    nobody: Option<&'static str>,
    asking: Option<Question>,
    /// How many calls the task had made when it was told to burn fuel without a word; `None` once it gave a sign of life.
    stalled: Option<u64>,
    /// Whether most of its fuel is used.
    low_on_fuel: bool,
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
    /// How often Ctrl-C or SIGTERM asked it to.
    pub(super) stops: u32,
}

enum Happened {
    Event(Box<Result<Option<Event>, StoreError>>),
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
            nobody: (!environment::can_ask()).then_some(NO_TERMINAL),
            asking: None,
            stalled: None,
            low_on_fuel: false,
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
                event = events.next() => Happened::Event(Box::new(event)),
                page = self.handle.output_after(self.cursor) => Happened::Output(page),
                stop = self.stops.next() => Happened::Stop(stop),
                typed = self.person.typed(), if self.asking.is_some() => Happened::Typed(typed),
                _ = ticks.tick(), if live => Happened::Tick,
            };
            match happened {
                Happened::Event(event) => match *event {
                    Ok(Some(event)) => self.on_event(event.body).await,
                    Ok(None) => break,
                    Err(error) => return Err(Fault::new(Exit::Host, error)),
                },
                Happened::Output(page) => self.on_output(&page),
                Happened::Stop(stop) => self.on_stop(stop).await?,
                Happened::Typed(typed) => self.on_typed(typed).await,
                Happened::Tick => self.on_tick(),
            }
        }
        self.screen.withdraw("The task has ended.");
        loop {
            let page = self.handle.output(self.cursor).await;
            if page.is_empty() {
                break;
            }
            self.on_output(&page);
        }
        for line in self.guest.finish() {
            self.screen.line(&line);
        }
        self.screen.clear();
        let outcome = match self.outcome {
            Some(outcome) => outcome,
            None => self.handle.wait().await,
        };
        Ok(Ended { outcome, limits: self.limits, stops: self.stops_seen })
    }

    async fn on_event(&mut self, event: EventBody) {
        if let Some(why) = self.asking.as_ref().and_then(|question| happenings::answered(&event, question)) {
            self.asking = None;
            self.screen.withdraw(why);
        }
        if let Some(line) = happenings::line(&event) {
            // Where nobody can be asked, it is the program that refuses, and nobody else says why.
            let needed = self.nobody.is_some() && matches!(event, EventBody::FuelRefused { .. });
            if needed { self.screen.say(&line) } else { self.screen.line(&line) }
        }
        if happenings::is_sign_of_life(&event) {
            self.stalled = None;
        }
        match event {
            EventBody::Created { limits, .. } => self.limits = *limits,
            EventBody::Progress { message, percent, .. } => self.screen.progress(&message, percent),
            EventBody::WaitStarted { keys, timeout, .. } => {
                if let Some(key) = keys.into_iter().next() {
                    self.on_wait(key, timeout);
                }
            }
            EventBody::FuelRequested { units, reason, .. } => self.on_fuel_request(units, reason).await,
            EventBody::FuelAdded { .. } => self.low_on_fuel = false,
            EventBody::BudgetLow { budget: Budget::Fuel, .. } => self.low_on_fuel = true,
            EventBody::Stalled { .. } => self.stalled = Some(self.handle.state().usage.host_calls),
            EventBody::Finished { outcome, .. } => self.outcome = Some(outcome),
            // Said already, or shown at the end; what was done from here is known.
            EventBody::Due
            | EventBody::OnTerminalDone { .. }
            | EventBody::LateSignal { .. }
            | EventBody::Started { .. }
            | EventBody::AttemptEnded { .. }
            | EventBody::AgentMessageAcked { .. }
            | EventBody::Instructed(_)
            | EventBody::InstructionTaken
            | EventBody::InstructionWaitStarted { .. }
            | EventBody::InstructionWaitEnded { .. }
            | EventBody::ApprovalRequested { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::UsageRecorded { .. }
            | EventBody::ChildStarted { .. }
            | EventBody::ChildEnded { .. }
            | EventBody::ChildWaitStarted { .. }
            | EventBody::ChildWaitEnded { .. }
            | EventBody::BudgetLow { .. }
            | EventBody::WaitEnded { .. }
            | EventBody::SignalReceived { .. }
            | EventBody::SignalTaken { .. }
            | EventBody::SignalSent { .. }
            | EventBody::HostCalled { .. }
            | EventBody::AgentMessage { .. }
            | EventBody::ArtifactAttached(_)
            | EventBody::Paused { .. }
            | EventBody::Resumed { .. }
            | EventBody::FuelRefused { .. }
            | EventBody::FuelRequestEnded { .. }
            | EventBody::Panicked { .. }
            | EventBody::CancelRequested(_) => {}
        }
    }

    fn on_tick(&mut self) {
        let state = self.handle.state();
        // Not every call makes an event.
        self.stalled = self.stalled.filter(|calls| *calls == state.usage.host_calls);
        let standing = happenings::standing(&state, self.stalled.is_some(), self.low_on_fuel);
        let left = state.progress.and_then(|progress| progress.eta);
        self.screen.tick(&Moment { usage: state.usage, left, standing });
    }

    /// Asks the person. Where there is none, nobody will answer later either: the task is told so at once.
    async fn on_fuel_request(&mut self, units: u64, reason: String) {
        // What it may take without asking, it has already.
        let open = self.handle.state().fuel_request;
        if open.is_none_or(|open| open.units != units || open.reason != reason) {
            return;
        }
        let Some(nobody) = self.nobody() else {
            self.screen.ask(&prompt::fuel_question(units, &reason));
            self.asking = Some(Question::Fuel(units, reason));
            return;
        };
        self.screen.say(&labelled("fuel", &prompt::fuel_wish(units, &reason)));
        self.handle.refuse_fuel(Party::Host, self.refusal(nobody, units)).await;
    }

    /// Why nobody can be asked; `None` when somebody can, and is listened to.
    fn nobody(&mut self) -> Option<&'static str> {
        self.nobody.or_else(|| self.person.listen().is_err().then_some(NO_THREAD))
    }

    /// Why fuel is refused without an answer, and what gives it in advance.
    fn refusal(&self, nobody: &str, units: u64) -> String {
        let in_all = text::fuel_flag(self.limits.fuel_on_request.saturating_add(units));
        format!("{nobody}; --limit fuel_on_request={in_all} gives it in advance")
    }

    fn on_wait(&mut self, key: SignalKey, timeout: Option<Duration>) {
        let Some(nobody) = self.nobody() else {
            self.screen.ask(&prompt::question(&key));
            self.asking = Some(Question::Signal(key));
            return;
        };
        let time = timeout.map(|time| format!(" for at most {}", text::elapsed(time))).unwrap_or_default();
        let flag = text::shell_word(&format!("{key}=true"));
        let advice = format!("{nobody}; give it in advance: --signal {flag}");
        self.screen.say(&labelled("wait", &format!("the task waits for the signal `{key}`{time}; {advice}")));
    }

    fn on_output(&mut self, page: &OutputPage) {
        self.cursor = page.next;
        // Whoever writes is alive.
        self.stalled = None;
        for line in self.guest.take(page) {
            self.screen.line(&line);
        }
    }

    async fn on_typed(&mut self, typed: Typed) {
        let Some(question) = self.asking.take() else { return };
        match (typed, question) {
            (Typed::Closed, Question::Signal(key)) => {
                self.nobody = Some(STDIN_CLOSED);
                self.screen
                    .withdraw(&format!("Nobody answers: stdin is closed. The task goes on waiting for `{key}`."));
            }
            (Typed::Closed, Question::Fuel(units, _)) => {
                self.nobody = Some(STDIN_CLOSED);
                self.screen.withdraw("Nobody answers: stdin is closed.");
                self.handle.refuse_fuel(Party::Host, self.refusal(STDIN_CLOSED, units)).await;
            }
            (Typed::Line(line), Question::Signal(key)) => {
                self.screen.answered();
                self.on_signal_line(&line, key).await;
            }
            (Typed::Line(line), Question::Fuel(units, reason)) => {
                self.screen.answered();
                match prompt::consent(&line) {
                    Some(true) => drop(self.handle.add_fuel(units, Party::Person).await),
                    Some(false) => drop(self.handle.refuse_fuel(Party::Person, "").await),
                    None => {
                        self.screen.say("That is neither y nor n.");
                        self.on_fuel_request(units, reason).await;
                    }
                }
            }
        }
    }

    async fn on_signal_line(&mut self, line: &str, key: SignalKey) {
        match prompt::answer(line) {
            Answer::Payload(payload) => match self.handle.notify(key, payload, Party::Person).await {
                NotifyAnswer::Delivered | NotifyAnswer::Buffered => {}
                NotifyAnswer::NoTask => self.screen.say("The task has ended already."),
                NotifyAnswer::Full => self.screen.say("The task keeps too many signals; this one is not taken."),
            },
            Answer::Unclear(why) => {
                self.screen.say(&why);
                self.on_wait(key, None);
            }
        }
    }

    async fn on_stop(&mut self, stop: Stop) -> Result<(), Fault> {
        self.stops_seen += 1;
        let name = stop.name();
        match self.stops_seen {
            1 => {
                // Every wait ends with it.
                self.asking = None;
                self.screen.say_instead(&stopping(name, self.grace));
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

/// What the first wish to stop comes to.
fn stopping(name: &str, grace: Duration) -> String {
    if grace.is_zero() {
        return format!("{name}: the task is stopped at once");
    }
    let grace = text::duration_flag(grace);
    format!("{name}: the task has {grace} to end by itself; once more stops it at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_grace_nothing_is_promised() {
        assert_eq!(stopping("Ctrl-C", Duration::ZERO), "Ctrl-C: the task is stopped at once");
        let graceful = stopping("SIGTERM", Duration::from_secs(5));
        assert_eq!(graceful, "SIGTERM: the task has 5s to end by itself; once more stops it at once");
    }
}
