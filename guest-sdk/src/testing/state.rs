//! The fake host's clock, its signals, and its memory.

use std::time::Duration;

use tempfile::TempDir;

use super::asking::Asking;
use super::attachments::Attachments;
use super::belongings::Belongings;
use super::children::Children;
use super::fuel::Fuel;
use super::granting::Granting;
use super::planning::Planning;
use super::records::{AgentMessage, Attached, EndedWait, FuelRequest, LogLine, Notified, Progress, ScopeNotified};
use crate::backend::{WaitEnd, WireSignal};
use crate::error::{RefusalKind, Refused};
use crate::values::{CancelRequest, NotifyResult, Sender};
use crate::waiting::WaitFor;

/// How long a task may tidy after somebody asked for its cancel.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now: Duration,
    pub(super) fuel: Fuel,
    /// Not yet taken, by the time they come, and for one time in the order they were sent.
    pub(super) signals: Vec<Pending>,
    pub(super) cancel: Option<PendingCancel>,
    /// Cancels when this many more looks have been taken.
    pub(super) looks_until_cancel: Option<u32>,
    /// The next wait ends without anything.
    pub(super) end_next_wait: bool,
    pub(super) notify_answer: Option<Result<NotifyResult, Refused>>,
    pub(super) notify_scope_answer: Option<Result<u32, Refused>>,
    pub(super) cancel_wait_answer: Option<Result<u32, Refused>>,
    pub(super) asking: Asking,
    pub(super) children: Children,
    pub(super) belongings: Belongings,
    pub(super) granting: Granting,
    pub(super) planning: Planning,
    /// The keys of the messages that are sent once.
    pub(super) sent_once: Vec<String>,
    pub(super) scratch: Option<TempDir>,
    pub(super) summary: Option<String>,
    pub(super) progress: Vec<Progress>,
    pub(super) heartbeats: u64,
    pub(super) messages: Vec<AgentMessage>,
    pub(super) logs: Vec<LogLine>,
    pub(super) notified: Vec<Notified>,
    pub(super) scope_notified: Vec<ScopeNotified>,
    pub(super) ended_waits: Vec<EndedWait>,
    pub(super) attached: Vec<Attached>,
    pub(super) attachments: Attachments,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) at: Duration,
    pub(super) key: String,
    /// A JSON text.
    pub(super) payload: Option<String>,
    pub(super) sender: Sender,
}

#[derive(Debug)]
pub(super) struct PendingCancel {
    pub(super) at: Duration,
    pub(super) reason: String,
}

impl Pending {
    fn is_for(&self, wait: &WaitFor) -> bool {
        wait.keys().contains(&self.key) && (wait.senders().is_empty() || wait.senders().contains(&self.sender))
    }
}

impl State {
    pub(super) fn send(&mut self, pending: Pending) {
        let place = self.signals.partition_point(|other| other.at <= pending.at);
        self.signals.insert(place, pending);
    }

    pub(super) fn cancel_request(&self) -> Option<CancelRequest> {
        let cancel = self.cancel.as_ref().filter(|cancel| cancel.at <= self.now)?;
        let used = self.now.saturating_sub(cancel.at);
        Some(CancelRequest { by: Sender::Person, reason: cancel.reason.clone(), grace: GRACE.saturating_sub(used) })
    }

    /// The task looks whether it shall stop.
    pub(super) fn look(&mut self) -> Option<CancelRequest> {
        match self.looks_until_cancel {
            Some(0 | 1) => {
                self.looks_until_cancel = None;
                self.cancel = Some(PendingCancel { at: self.now, reason: "at this look".to_owned() });
            }
            Some(left) => self.looks_until_cancel = Some(left - 1),
            None => {}
        }
        self.cancel_request()
    }

    /// When the task is asked to stop, seen from now.
    pub(super) fn cancel_at(&self) -> Option<Duration> {
        self.cancel.as_ref().map(|cancel| cancel.at.max(self.now))
    }

    /// Takes the oldest signal with this key that has come by now.
    pub(super) fn take(&mut self, key: &str) -> Option<WireSignal> {
        Some(self.take_any(&WaitFor::any_of([key]))?.1)
    }

    fn take_any(&mut self, wait: &WaitFor) -> Option<(String, WireSignal)> {
        let place = self.signals.iter().position(|signal| signal.at <= self.now && signal.is_for(wait))?;
        let signal = self.signals.remove(place);
        let wire = WireSignal { payload: signal.payload, sender: signal.sender.as_str().to_owned(), task: None };
        Some((signal.key, wire))
    }

    /// Lets time pass until the wait has an end.
    pub(super) fn wait_any(
        &mut self,
        wait: &WaitFor,
        timeout_ms: Option<u64>,
    ) -> Result<(String, WireSignal), WaitEnd> {
        check_wait(wait).map_err(WaitEnd::Refused)?;
        if std::mem::take(&mut self.end_next_wait) {
            return Err(WaitEnd::WaitCancelled);
        }
        let start = self.now;
        let signal_at = self.signals.iter().find(|signal| signal.is_for(wait)).map(|signal| signal.at.max(start));
        let cancel_at = self.cancel_at();
        let over_at = timeout_ms.map(|ms| start.saturating_add(Duration::from_millis(ms)));

        let Some(end) = [signal_at, cancel_at, over_at].into_iter().flatten().min() else {
            return Err(WaitEnd::Refused(endless(wait.keys())));
        };
        self.now = end;
        if cancel_at == Some(end) {
            return Err(WaitEnd::Cancelled);
        }
        self.take_any(wait).ok_or(WaitEnd::TimedOut)
    }

    /// The task says how far it is. It never goes back, unless it begins anew.
    pub(super) fn report(&mut self, message: &str, percent: Option<u8>, restarted: bool) {
        let before = self.progress.last().filter(|_| !restarted).and_then(|report| report.percent);
        self.progress.push(Progress { message: message.to_owned(), percent: percent.max(before), restarted });
    }

    /// Lets time pass until a request for fuel has its answer, and writes both down.
    pub(super) fn request_fuel(&mut self, units: u64, reason: &str, timeout_ms: Option<u64>) -> Result<u64, Refused> {
        let timeout = timeout_ms.map(Duration::from_millis);
        let answer = if units == 0 { Err(Refused::invalid("units: 1 or more")) } else { self.fuel_answer(timeout) };
        if let Ok(units) = answer {
            self.fuel.add(units);
        }
        self.fuel.requests.push(FuelRequest { units, reason: reason.to_owned(), timeout, answer: answer.clone() });
        answer
    }

    fn fuel_answer(&mut self, timeout: Option<Duration>) -> Result<u64, Refused> {
        let start = self.now;
        let cancel_at = self.cancel_at();
        if cancel_at == Some(start) {
            return Err(shall_stop());
        }
        // Used up with this request, also when it comes too late.
        let answer = self.fuel.answers.pop_front();
        let answer_at = answer.as_ref().map(|answer| start.saturating_add(answer.after));
        let over_at = timeout.map(|timeout| start.saturating_add(timeout));

        let Some(end) = [answer_at, cancel_at, over_at].into_iter().flatten().min() else {
            return Err(unanswered());
        };
        self.now = end;
        if cancel_at == Some(end) {
            return Err(shall_stop());
        }
        match answer.filter(|_| answer_at == Some(end)) {
            Some(answer) => answer.units.map_err(|message| Refused { kind: RefusalKind::Denied, message }),
            None => Err(Refused { kind: RefusalKind::TimedOut, message: "nobody answered in time".to_owned() }),
        }
    }
}

pub(super) fn shall_stop() -> Refused {
    Refused { kind: RefusalKind::Cancelled, message: "the task shall stop".to_owned() }
}

/// As with [`endless`].
fn unanswered() -> Refused {
    Refused {
        kind: RefusalKind::Other("fake-host".to_owned()),
        message:
            "the task asks for fuel without a timeout, and the test answers nothing: it would wait for ever. Call \
                  `grant_fuel` or `refuse_fuel` before the task runs"
                .to_owned(),
    }
}

/// A task cannot go on from here, and its test would never end.
fn endless(keys: &[String]) -> Refused {
    let named = keys.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(" or ");
    Refused {
        kind: RefusalKind::Other("fake-host".to_owned()),
        message: format!(
            "the task waits for the signal {named} without a timeout, and the test sends none: it would wait for \
             ever. Call `signal` or `send_at` before the task runs"
        ),
    }
}

/// The contract's rules for a wait.
fn check_wait(wait: &WaitFor) -> Result<(), Refused> {
    if wait.keys().is_empty() || wait.keys().len() > 64 {
        return Err(Refused::invalid("keys: 1 to 64"));
    }
    wait.keys().iter().try_for_each(|key| check_key(key))
}

/// The contract's rule for a signal's key.
pub(super) fn check_key(key: &str) -> Result<(), Refused> {
    if key.is_empty() || key.len() > 256 || key.chars().any(char::is_control) {
        return Err(Refused::invalid("key: 1 to 256 bytes without control characters"));
    }
    Ok(())
}
