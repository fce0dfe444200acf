//! Follows a running task: shows what happens, asks the person, passes Ctrl-C on.

mod asking;

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::cli::environment;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::plans;
use crate::cli::progress::{Moment, Screen};
use crate::cli::prompt::{Person, Typed};
use crate::cli::text;
use crate::{
    ApprovalDecision, Budget, CancelRequest, Event, EventBody, EventSeq, Limits, Outcome, OutputCursor, OutputPage,
    Party, StoreError, TaskHandle,
};

use super::branches::Branches;
use super::guest::GuestLines;
use super::happenings::{self, Question};
use super::request::Verdicts;
use super::tree::{self, Frame};
use crate::cli::stops::{Stop, Stops};

/// How often the time and the fuel on the screen are renewed.
const TICK: Duration = Duration::from_millis(100);

/// Why nobody can be asked.
const NO_TERMINAL: &str = "there is no terminal to ask on";

/// One task being followed.
#[derive(Debug)]
pub(super) struct Session<'a, 'host> {
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
    /// What is decided in advance.
    verdicts: Verdicts,
    /// How many calls the task had made when it was told to burn fuel without a word; `None` once it gave a sign of life.
    stalled: Option<u64>,
    /// Whether most of its fuel is used.
    low_on_fuel: bool,
    stops_seen: u32,
    limits: Limits,
    outcome: Option<Outcome>,
    /// What is below the task, if it shall be shown.
    branches: Option<&'a mut Branches<'host>>,
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

impl<'a, 'host> Session<'a, 'host> {
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
            verdicts: Verdicts::default(),
            stalled: None,
            low_on_fuel: false,
            stops_seen: 0,
            limits: Limits::default(),
            outcome: None,
            branches: None,
        }
    }

    /// With decisions that were given in advance.
    pub(super) fn deciding(mut self, verdicts: Verdicts) -> Self {
        self.verdicts = verdicts;
        self
    }

    /// With the tree of what is below the task.
    pub(super) fn showing(mut self, branches: Option<&'a mut Branches<'host>>) -> Self {
        self.branches = branches;
        self
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
                    Ok(Some(event)) => {
                        if live && happenings::asks(&event.body) {
                            self.look();
                        }
                        self.on_event(event.body).await;
                    }
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
            let needed = self.nobody.is_some()
                && matches!(
                    event,
                    EventBody::FuelRefused { .. }
                        | EventBody::ApprovalDecided { decision: ApprovalDecision::Denied { by: Party::Host, .. }, .. }
                );
            if needed { self.screen.say(&line) } else { self.screen.line(&line) }
        }
        if happenings::is_sign_of_life(&event) {
            self.stalled = None;
        }
        match event {
            EventBody::Created { limits, .. } => self.limits = *limits,
            EventBody::Progress { message, percent, .. } => self.screen.progress(&message, percent),
            EventBody::WaitStarted { keys, senders, timeout, .. } => self.on_wait(keys, &senders, timeout),
            EventBody::InstructionWaitStarted { timeout } => self.on_message_wait(timeout),
            EventBody::ApprovalRequested { number, ask } => self.on_approval(number, ask).await,
            EventBody::FuelRequested { number, units, reason, .. } => {
                self.on_fuel_request(number, units, reason).await;
            }
            EventBody::Due => self.screen.begin("running"),
            EventBody::FuelAdded { .. } => self.low_on_fuel = false,
            EventBody::BudgetLow { budget: Budget::Fuel, .. } => self.low_on_fuel = true,
            EventBody::Stalled { .. } => self.stalled = Some(self.handle.state().usage.host_calls),
            EventBody::Finished { outcome, .. } => self.outcome = Some(std::sync::Arc::unwrap_or_clone(outcome)),
            // Said already, or shown at the end; what was done from here is known.
            EventBody::OnTerminalDone { .. }
            | EventBody::HookDone { .. }
            | EventBody::Schedule { .. }
            | EventBody::Plan { .. }
            | EventBody::Schedules { .. }
            | EventBody::LateSignal { .. }
            | EventBody::Started { .. }
            | EventBody::AttemptEnded { .. }
            | EventBody::Instructed(_)
            | EventBody::InstructionTaken
            | EventBody::InstructionWaitEnded { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::ApprovalRepeated { .. }
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
            | EventBody::MessageSettled { .. }
            | EventBody::ArtifactAttached(_)
            | EventBody::Updated { .. }
            | EventBody::Paused { .. }
            | EventBody::Resumed { .. }
            | EventBody::FuelRefused { .. }
            | EventBody::FuelRequestEnded { .. }
            | EventBody::Panicked { .. }
            | EventBody::HourUsedUp { .. }
            | EventBody::FuelRenewed { .. }
            | EventBody::DaemonGivenUp { .. }
            | EventBody::Detached { .. }
            | EventBody::Denied { .. }
            | EventBody::Revoked { .. }
            | EventBody::FolderRoomTaken { .. }
            | EventBody::DeliverySet { .. }
            | EventBody::CancelRequested(_) => {}
        }
    }

    fn on_tick(&mut self) {
        let state = self.handle.state();
        // Not every call makes an event.
        self.stalled = self.stalled.filter(|calls| *calls == state.usage.host_calls);
        let standing = happenings::standing(&state, self.stalled.is_some(), self.low_on_fuel);
        let left = state.progress.and_then(|progress| progress.eta);
        self.look();
        let step = state.plan.as_ref().and_then(plans::at);
        self.screen.tick(&Moment { usage: state.usage, left, standing, step });
    }

    /// Renews the tree on the screen.
    fn look(&mut self) {
        if let Some(branches) = &mut self.branches {
            self.screen.below(tree::lines(&branches.look(), &Frame::of_terminal()));
        }
    }

    fn on_output(&mut self, page: &OutputPage) {
        self.cursor = page.next;
        // Whoever writes is alive.
        self.stalled = None;
        for line in self.guest.take(page) {
            self.screen.line(&line);
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
