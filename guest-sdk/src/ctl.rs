//! What a running task has in its hand.

mod asking;
mod children;
mod granting;
mod host;
mod planning;
mod reaching;
mod waiting;

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::backend::{Backend, OutputStream, WireSignal};
use crate::error::{Cancelled, FuelError, Refused, WaitError};
use crate::json;
use crate::values::{Artifact, CancelRequest, Delivery, NotifyResult, Sender, Signal, TaskInfo, TaskRef};

/// The running task's way to its host.
///
/// Every task function gets one. All calls are synchronous. A call that waits parks the task: it costs neither a
/// thread nor fuel until it goes on.
///
/// ```
/// use std::time::Duration;
/// use taskcell_guest::testing::FakeHost;
/// use taskcell_guest::{TaskCtl, TaskError, WaitError};
///
/// fn ask(ctl: &TaskCtl, question: String) -> Result<bool, TaskError> {
///     ctl.report_progress("waiting for an answer", 50)?;
///     ctl.notify_agent(&question, true)?;
///     match ctl.wait::<bool>("answer", Duration::from_secs(60)) {
///         Ok(signal) => Ok(signal.payload),
///         Err(WaitError::TimedOut) => Ok(false),
///         Err(other) => Err(other.into()),
///     }
/// }
///
/// let host = FakeHost::new();
/// host.send_at(Duration::from_secs(5), "answer", serde_json::json!(true));
/// assert_eq!(host.run(ask, "Go on?".to_owned()), Ok(true));
/// assert_eq!(host.elapsed(), Duration::from_secs(5));
/// ```
pub struct TaskCtl {
    backend: Box<dyn Backend>,
    /// Kept to say where a cancelled task stopped, and as the last word of a task that sets no summary.
    last_progress: RefCell<Option<String>>,
    summary: RefCell<Option<String>>,
}

impl TaskCtl {
    pub(crate) fn new(backend: impl Backend + 'static) -> Self {
        Self { backend: Box::new(backend), last_progress: RefCell::new(None), summary: RefCell::new(None) }
    }

    /// What this task is: its id, its key, its deadline, its directory and so on. Each call asks the host.
    pub fn info(&self) -> TaskInfo {
        self.backend.info()
    }

    /// Says how far the task is: a sentence for a person, and 0 to 100 percent where that is known. A percent that is
    /// lower than one before does not move the progress back; [`restart_progress`](Self::restart_progress) does. Report
    /// as often as you like: the host merges what comes too fast.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// ctl.report_progress("half of it", 50)?;
    /// ctl.report_progress("nobody knows how much is left", None)?;
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `invalid-argument` when `percent` is over 100.
    pub fn report_progress(&self, message: impl AsRef<str>, percent: impl Into<Option<u8>>) -> Result<(), Refused> {
        let message = message.as_ref();
        self.backend.report_progress(message, percent.into())?;
        self.last_progress.replace(Some(message.to_owned()));
        Ok(())
    }

    /// Begins the progress anew, at 0 percent: what comes now is another part, or the same once more.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// ctl.report_progress("all of it is read", 100)?;
    /// ctl.restart_progress("sorting")?;
    /// ctl.report_progress("a tenth is sorted", 10)?;
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`], for example with `too-large` for too long a message.
    pub fn restart_progress(&self, message: impl AsRef<str>) -> Result<(), Refused> {
        let message = message.as_ref();
        self.backend.restart_progress(message)?;
        self.last_progress.replace(Some(message.to_owned()));
        Ok(())
    }

    /// Says that the task is alive, and nothing else. A task that makes no call at all for its idle time is given up;
    /// every call counts, so only a task that makes no other one needs this.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// for number in 1..=3_000_000_u64 {
    ///     if number % 1_000_000 == 0 {
    ///         ctl.heartbeat();
    ///     }
    /// }
    /// assert_eq!(host.heartbeats(), 3);
    /// ```
    pub fn heartbeat(&self) {
        self.backend.heartbeat();
    }

    /// Ends the task here if it shall stop: write `ctl.checkpoint()?` wherever the task may stop.
    ///
    /// Look often, but not in every turn of a tight loop: a look costs about as much as a few hundred instructions. A
    /// task that never looks is stopped by force when the grace is over.
    ///
    /// ```
    /// # use taskcell_guest::testing::FakeHost;
    /// # use taskcell_guest::{TaskCtl, TaskError};
    /// fn add(ctl: &TaskCtl, numbers: Vec<u64>) -> Result<u64, TaskError> {
    ///     let mut sum = 0;
    ///     for chunk in numbers.chunks(10_000) {
    ///         ctl.checkpoint()?;
    ///         sum += chunk.iter().sum::<u64>();
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.cancel("not needed any more");
    /// assert!(host.run(add, vec![1, 2, 3]).unwrap_err().is_cancelled());
    /// ```
    ///
    /// # Errors
    /// [`Cancelled`] when somebody asked for this task to be cancelled.
    pub fn checkpoint(&self) -> Result<(), Cancelled> {
        match self.backend.cancel_requested() {
            None => Ok(()),
            Some(_) => Err(Cancelled::at(match self.last_progress.borrow().as_deref() {
                Some(message) => format!("stopped after \"{message}\""),
                None => "stopped before the first report of progress".to_owned(),
            })),
        }
    }

    /// Who asked for this task to be cancelled and how much time is left, or `None` if nobody did. For tasks that have
    /// something to tidy first; all others use [`checkpoint`](Self::checkpoint). What the task returns within the grace
    /// counts.
    pub fn cancel_requested(&self) -> Option<CancelRequest> {
        self.backend.cancel_requested()
    }

    /// Units of fuel that are left of the budget. One unit is about one simple instruction. The task is stopped when
    /// none is left; [`request_fuel`](Self::request_fuel) asks for more.
    pub fn fuel_remaining(&self) -> u64 {
        self.backend.fuel_remaining()
    }

    /// Asks for more fuel and parks the task until there is an answer, for however long. Returns how many units were
    /// added, which may be more or fewer than asked for. The reason is for the person who answers. The deadline does
    /// not come nearer meanwhile.
    ///
    /// ```
    /// use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{FuelError, TaskCtl, TaskError};
    ///
    /// /// As many rounds as there is fuel for.
    /// fn rounds(ctl: &TaskCtl, (): ()) -> Result<u64, TaskError> {
    ///     for round in 0_u64.. {
    ///         if ctl.fuel_remaining() < 1_000 {
    ///             match ctl.request_fuel(10_000, format!("{round} rounds are done")) {
    ///                 Ok(_) => {}
    ///                 Err(FuelError::Denied(_)) => return Ok(round),
    ///                 Err(other) => return Err(other.into()),
    ///             }
    ///         }
    ///     }
    ///     Err(TaskError::new("out of numbers"))
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.set_fuel(5_000);
    /// host.burn_at_each_look(1_000); // as the task would by its work
    /// host.grant_fuel(3_000);
    /// host.refuse_fuel("that was enough");
    /// assert_eq!(host.run(rounds, ()), Ok(7));
    /// assert_eq!(host.fuel_requests()[0].reason, "4 rounds are done");
    /// ```
    ///
    /// # Errors
    /// [`FuelError`]: somebody said no, the task shall stop, or `units` is 0.
    pub fn request_fuel(&self, units: u64, reason: impl AsRef<str>) -> Result<u64, FuelError> {
        self.ask_for_fuel(units, reason.as_ref(), None)
    }

    /// Like [`request_fuel`](Self::request_fuel), but not for longer than `timeout`. A timeout of zero gets what the
    /// operator gives without being asked, and nothing else.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use taskcell_guest::FuelError;
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// host.grant_fuel_after(Duration::from_secs(20), 500);
    /// let asked = ctl.request_fuel_within(1_000, "to finish", Duration::from_secs(60));
    /// assert_eq!((asked, host.elapsed()), (Ok(500), Duration::from_secs(20)));
    /// let asked = ctl.request_fuel_within(1_000, "to finish", Duration::from_secs(60));
    /// assert_eq!((asked, host.elapsed()), (Err(FuelError::TimedOut), Duration::from_secs(80)));
    /// ```
    ///
    /// # Errors
    /// As [`request_fuel`](Self::request_fuel), and [`FuelError::TimedOut`].
    pub fn request_fuel_within(
        &self,
        units: u64,
        reason: impl AsRef<str>,
        timeout: Duration,
    ) -> Result<u64, FuelError> {
        self.ask_for_fuel(units, reason.as_ref(), Some(timeout))
    }

    /// Parks the task until a signal with this key is there, and takes it. A timeout of zero only looks; with `None`
    /// the task waits until its deadline. Signals that came before are found, for each key in the order they came.
    ///
    /// A signal without a payload is read like the JSON `null`, so it fits when `T` is `()` or an `Option`. Where the
    /// difference between nothing and `null` matters, use [`wait_raw`](Self::wait_raw).
    ///
    /// # Errors
    /// [`WaitError`]. A signal that does not fit `T` is taken all the same; waiting again waits for the next one.
    pub fn wait<T: DeserializeOwned>(
        &self,
        key: &str,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Signal<T>, WaitError> {
        typed(self.wait_wire(key, timeout.into())?)
    }

    /// Like [`wait`](Self::wait), but keeps the payload as it came: `None` is a signal without a payload.
    ///
    /// # Errors
    /// [`WaitError`].
    pub fn wait_raw(
        &self,
        key: &str,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Signal<Option<Value>>, WaitError> {
        raw(self.wait_wire(key, timeout.into())?)
    }

    /// Takes a signal that is there already, or says that there is none. About the payload see [`wait`](Self::wait).
    ///
    /// # Errors
    /// [`WaitError::Refused`] and [`WaitError::BadPayload`], no other.
    pub fn poll<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Signal<T>>, WaitError> {
        self.backend.poll(key)?.map(typed).transpose()
    }

    /// Like [`poll`](Self::poll), but keeps the payload as it came: `None` is a signal without a payload.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_raw(&self, key: &str) -> Result<Option<Signal<Option<Value>>>, WaitError> {
        self.backend.poll(key)?.map(raw).transpose()
    }

    /// Sends a signal to a task. A task may always send to itself; to send to others, its plugin needs the capability
    /// `signal`.
    ///
    /// ```
    /// # use taskcell_guest::TaskRef;
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// let target = TaskRef::new("approval", "publish", "report-7");
    /// ctl.notify(&target, "decision", Some(&true))?;
    /// ctl.notify(&target, "look", None::<&()>)?; // without a payload
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `denied` when the operator has not granted `signal`, `too-large` for too large a payload,
    /// `invalid-argument` for a key that is empty, longer than 256 bytes or has control characters, and for a payload
    /// that cannot be written as JSON.
    pub fn notify(
        &self,
        target: &TaskRef,
        key: &str,
        payload: Option<&impl Serialize>,
    ) -> Result<NotifyResult, Refused> {
        self.backend.notify(target, key, payload_text(payload)?.as_deref())
    }

    /// Sends a message to the agent that the task works for. With `trigger` the agent is asked to act on it now,
    /// without it the agent sees it when it looks next.
    ///
    /// # Errors
    /// [`Refused`], for example `too-large`. A message that the agent does not want is no error but
    /// [`Delivery::Blocked`].
    pub fn notify_agent(&self, message: impl AsRef<str>, trigger: bool) -> Result<Delivery, Refused> {
        self.backend.notify_agent(None, message.as_ref(), trigger)
    }

    /// Writes to the task's standard output, of which the host keeps the newest part. `print!` reaches the same stream.
    ///
    /// # Errors
    /// [`Refused`] with `too-large`: write in smaller pieces.
    pub fn write_stdout(&self, bytes: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.backend.write(OutputStream::Stdout, bytes.as_ref())
    }

    /// Writes to the task's standard error, of which the host keeps the newest part. `eprint!` reaches the same stream.
    ///
    /// # Errors
    /// [`Refused`] with `too-large`: write in smaller pieces.
    pub fn write_stderr(&self, bytes: impl AsRef<[u8]>) -> Result<(), Refused> {
        self.backend.write(OutputStream::Stderr, bytes.as_ref())
    }

    /// Attaches a file of the task's scratch directory to the task, for people and programs to read. The host takes a
    /// copy, so the file may change or go away afterwards.
    ///
    /// `name` is what people will see, 1 to 255 bytes, and not a path. `path` is the file's, as the task itself opens
    /// it, that is [`TaskInfo::scratch`] joined with something.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// let path = ctl.info().scratch.join("report.md");
    /// std::fs::write(&path, "# Report\n")?;
    /// let artifact = ctl.attach("report.md", "text/markdown", &path)?;
    /// assert_eq!(artifact.size, 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`]: `invalid-argument` for a bad name or a path that is not UTF-8, `not-found` when there is no such
    /// file, `too-large`.
    pub fn attach(&self, name: &str, media_type: &str, path: impl AsRef<Path>) -> Result<Artifact, Refused> {
        let path = path.as_ref();
        let text = path.to_str().ok_or_else(|| Refused::invalid(format!("{} is not UTF-8", path.display())))?;
        self.backend.attach(name, media_type, text)
    }

    /// Sets the sentence that stands beside the result when the task succeeds. Without it, that is the last progress
    /// message, or else "done".
    pub fn set_summary(&self, text: impl Into<String>) {
        self.summary.replace(Some(text.into()));
    }

    pub(crate) fn summary(&self) -> String {
        let set = self.summary.borrow().clone();
        set.or_else(|| self.last_progress.borrow().clone()).unwrap_or_else(|| "done".to_owned())
    }

    fn ask_for_fuel(&self, units: u64, reason: &str, timeout: Option<Duration>) -> Result<u64, FuelError> {
        let answer = self.backend.request_fuel(units, reason, timeout.map(millis_rounded_up));
        answer.map_err(|refused| {
            FuelError::from_refusal(refused, || Cancelled::at("stopped while waiting for more fuel"))
        })
    }

    fn wait_wire(&self, key: &str, timeout: Option<Duration>) -> Result<WireSignal, WaitError> {
        self.backend
            .wait(key, timeout.map(millis_rounded_up))
            .map_err(|end| end.into_error(|| Cancelled::at(format!("stopped while waiting for the signal \"{key}\""))))
    }
}

impl fmt::Debug for TaskCtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskCtl").finish_non_exhaustive()
    }
}

fn payload_text(payload: Option<&impl Serialize>) -> Result<Option<String>, Refused> {
    let text = payload.map(serde_json::to_string).transpose();
    text.map_err(|error| Refused::invalid(format!("the payload is not JSON: {error}")))
}

/// Up, so that a short wait does not become one that only looks.
pub(crate) fn millis_rounded_up(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn typed<T: DeserializeOwned>(signal: WireSignal) -> Result<Signal<T>, WaitError> {
    let payload = json::read(signal.payload.as_deref().unwrap_or("null"))
        .map_err(|misfit| WaitError::BadPayload(misfit.sentence()))?;
    Ok(Signal { payload, sender: Sender::from_wire(signal.sender), task: signal.task })
}

fn raw(signal: WireSignal) -> Result<Signal<Option<Value>>, WaitError> {
    let payload = signal.payload.as_deref().map(json::read).transpose();
    let payload = payload.map_err(|misfit| WaitError::BadPayload(misfit.sentence()))?;
    Ok(Signal { payload, sender: Sender::from_wire(signal.sender), task: signal.task })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_timeout_is_not_a_look() {
        assert_eq!(millis_rounded_up(Duration::ZERO), 0);
        assert_eq!(millis_rounded_up(Duration::from_nanos(1)), 1);
        assert_eq!(millis_rounded_up(Duration::from_micros(1_001)), 2);
        assert_eq!(millis_rounded_up(Duration::MAX), u64::MAX);
    }
}
