//! Asking for approval, being told something, telling the agent something once, and saying what was spent.

use std::time::Duration;

use super::{TaskCtl, millis_rounded_up};
use crate::approval::{Approval, Decision};
use crate::error::{Cancelled, Refused, WaitError};
use crate::values::Delivery;
use crate::waiting::Instruction;

impl TaskCtl {
    /// Asks for approval, and parks the task until there is a decision. The deadline does not come nearer meanwhile.
    /// By default a person or the host decides, and not the agent.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use serde_json::json;
    /// use taskcell_guest::testing::FakeHost;
    /// use taskcell_guest::{Approval, Decision, TaskCtl, TaskError};
    ///
    /// fn deploy(ctl: &TaskCtl, version: u32) -> Result<String, TaskError> {
    ///     let question = Approval::new("deploy", format!("put version {version} into production"))
    ///         .reason("all tests pass")
    ///         .metadata(json!({ "version": version }))
    ///         .timeout(Duration::from_secs(3600));
    ///     match ctl.request_approval(question)? {
    ///         Decision::Approved { input: Some(other), .. } => Ok(format!("deployed {other} instead")),
    ///         Decision::Approved { by, .. } => Ok(format!("deployed {version}, as a {by} wished")),
    ///         Decision::Denied { reason, .. } => Ok(format!("left alone: {reason}")),
    ///         no => Err(no.granted().unwrap_err().into()),
    ///     }
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.approve_after(Duration::from_secs(90));
    /// assert_eq!(host.run(deploy, 7).unwrap(), "deployed 7, as a person wished");
    /// assert_eq!(host.elapsed(), Duration::from_secs(90));
    /// host.approve_with(json!(6));
    /// assert_eq!(host.run(deploy, 7).unwrap(), "deployed 6 instead");
    /// host.deny("it is Friday");
    /// assert_eq!(host.run(deploy, 7).unwrap(), "left alone: it is Friday");
    /// ```
    ///
    /// Where only a yes counts, [`Decision::granted`] is shorter.
    ///
    /// # Errors
    /// [`Refused`]: `invalid-argument` for a kind that is empty, longer than 64 bytes or `start`, `too-large` for a
    /// reason or a summary of more than 64 KiB. A no is no error but a [`Decision`].
    pub fn request_approval(&self, approval: Approval) -> Result<Decision, Refused> {
        let timeout = approval.timeout.map(millis_rounded_up);
        Decision::from_wire(&self.backend.request_approval(approval, timeout)?)
    }

    /// Takes the oldest thing that somebody said to this task, or parks the task until somebody says something.
    ///
    /// ```
    /// use taskcell_guest::{Instruction, Sender};
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    ///
    /// host.instruct("only the first chapter");
    /// let said = ctl.next_message()?;
    /// assert_eq!(said, Instruction { text: "only the first chapter".to_owned(), sender: Sender::Person });
    /// # Ok::<(), taskcell_guest::WaitError>(())
    /// ```
    ///
    /// # Errors
    /// [`WaitError::Cancelled`] and [`WaitError::Refused`], no other that a task has to expect.
    pub fn next_message(&self) -> Result<Instruction, WaitError> {
        self.message(None)?.ok_or(WaitError::TimedOut)
    }

    /// Like [`next_message`](Self::next_message), but not for longer than `timeout`: then the answer is `None`. A
    /// timeout of zero only looks, which fits a task that works and wants to be steered.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use taskcell_guest::testing::FakeHost;
    /// # use taskcell_guest::{TaskCtl, TaskError};
    /// fn count(ctl: &TaskCtl, mut last: u32) -> Result<u32, TaskError> {
    ///     let mut number = 0;
    ///     while number < last {
    ///         if let Some(said) = ctl.next_message_within(Duration::ZERO)? {
    ///             last = said.text.parse()?;
    ///         }
    ///         number += 1;
    ///     }
    ///     Ok(number)
    /// }
    ///
    /// let host = FakeHost::new();
    /// host.instruct("3");
    /// assert_eq!(host.run(count, 1_000), Ok(3));
    /// ```
    ///
    /// # Errors
    /// As [`next_message`](Self::next_message).
    pub fn next_message_within(&self, timeout: Duration) -> Result<Option<Instruction>, WaitError> {
        self.message(Some(timeout))
    }

    fn message(&self, timeout: Option<Duration>) -> Result<Option<Instruction>, WaitError> {
        self.backend.next_message(timeout.map(millis_rounded_up)).map_err(|refused| {
            WaitError::from_refusal(refused, || Cancelled::at("stopped while waiting for a message"))
        })
    }

    /// Like [`notify_agent`](Self::notify_agent), once for each key of the task: a message whose key was sent before is
    /// not sent again.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// for page in ["good.html", "bad.html", "worse.html"] {
    ///     if page != "good.html" {
    ///         ctl.notify_agent_once("bad pages", "There are pages that cannot be read.", false)?;
    ///     }
    /// }
    /// assert_eq!(host.messages().len(), 1);
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// As [`notify_agent`](Self::notify_agent), and `invalid-argument` for a key that is empty, longer than 256 bytes or
    /// has control characters.
    pub fn notify_agent_once(&self, key: &str, message: impl AsRef<str>, trigger: bool) -> Result<Delivery, Refused> {
        self.backend.notify_agent(Some(key), message.as_ref(), trigger)
    }

    /// Notes what the task has spent elsewhere: `tokens` of a model and `actions` of a tool, in the name of `tool`. The
    /// sums count against the limits `tokens` and `actions`; the task is stopped when one of them is used up.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// ctl.record_usage("summarise", 1_250, 1)?;
    /// assert_eq!(host.usage()[0].tokens, 1_250);
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `invalid-argument` for a name that is empty, longer than 256 bytes or has control characters.
    pub fn record_usage(&self, tool: &str, tokens: u64, actions: u64) -> Result<(), Refused> {
        self.backend.record_usage(tool, tokens, actions)
    }

    /// Sets the task's note, which people see beside its progress, or takes it away: for what stays true while the progress
    /// goes on, such as what it waits for.
    ///
    /// ```
    /// # let host = taskcell_guest::testing::FakeHost::new();
    /// # let ctl = host.ctl();
    /// ctl.set_note("uses the cache of yesterday")?;
    /// assert_eq!(host.note().as_deref(), Some("uses the cache of yesterday"));
    /// ctl.set_note(None)?;
    /// # Ok::<(), taskcell_guest::Refused>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with `invalid-argument` for a note that is not one line of 1 to 255 characters, and with `too-large` when
    /// the task has written as much as it may.
    pub fn set_note<'a>(&self, note: impl Into<Option<&'a str>>) -> Result<(), Refused> {
        self.backend.set_note(note.into())
    }
}
