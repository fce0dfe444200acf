//! A method for each route.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use crate::serve::wire::{
    AddQuery, ApprovalList, CancelAnswered, CancelBody, Changed, EventPage, EventQuery, Fuel, Gc, InstructBody,
    ListQuery, NewSchedule, Notified, PauseBody, PluginInfo, PluginList, PluginReplaced, Query, Removed, ReplaceQuery,
    RevokeBody, ScheduleList, SignalBody, Signature, StopBody, Stops, UnloadQuery, Verdict,
};
use crate::{
    ApprovalFilter, ApprovalNumber, Outcome, OutputQuery, OutputText, PluginBytes, PolicyChange, RevokeReport,
    Schedule, ScheduleId, Snapshot, StartRequest, TaskId, TaskPage, TaskSummary, Unload,
};

use super::connect::{Client, is_pending, waiting};
use super::error::CallError;

/// What waiting for a task came to.
#[derive(Debug)]
pub(super) enum Looked {
    Ended(Outcome),
    StillRunning,
}

impl Client {
    /// Starts a task, or joins the one that there is; with a key once, however often it is asked.
    pub(in crate::cli) async fn start(
        &self,
        request: &StartRequest,
        once: Option<&str>,
    ) -> Result<Snapshot, CallError> {
        let mut asked = self.request(Method::POST, &["tasks"], &()).json(request);
        if let Some(key) = once {
            asked = asked.header("idempotency-key", key);
        }
        let answer = self.send(asked).await?;
        self.read(answer).await
    }

    /// A page of tasks, a line for each.
    pub(in crate::cli) async fn list(&self, query: &ListQuery) -> Result<TaskPage<TaskSummary>, CallError> {
        self.get(&["tasks"], &ListQuery { full: false, ..query.clone() }).await
    }

    /// A page of tasks, with all that is known of each.
    pub(in crate::cli) async fn list_full(&self, query: &ListQuery) -> Result<TaskPage<Snapshot>, CallError> {
        self.get(&["tasks"], &ListQuery { full: true, ..query.clone() }).await
    }

    /// What is known of a task.
    pub(in crate::cli) async fn task(&self, id: TaskId) -> Result<Snapshot, CallError> {
        self.get(&["tasks", &id.to_string()], &()).await
    }

    /// Its outcome, if it comes in this time.
    pub(super) async fn look(&self, id: TaskId, wait: Duration) -> Result<Looked, CallError> {
        let asked = self.request(Method::GET, &["tasks", &id.to_string(), "outcome"], &());
        let answer = self.send(waiting(asked, wait)).await?;
        if is_pending(&answer) { Ok(Looked::StillRunning) } else { self.read(answer).await.map(Looked::Ended) }
    }

    /// Some of its output.
    pub(in crate::cli) async fn output(&self, id: TaskId, query: &OutputQuery) -> Result<OutputText, CallError> {
        self.get(&["tasks", &id.to_string(), "output"], query).await
    }

    /// Some of its events.
    pub(in crate::cli) async fn events(&self, id: TaskId, query: EventQuery) -> Result<EventPage, CallError> {
        self.get(&["tasks", &id.to_string(), "events"], &query).await
    }

    /// What came after its end.
    pub(super) async fn after_events(&self, id: TaskId) -> Result<EventPage, CallError> {
        self.get(&["tasks", &id.to_string(), "after"], &()).await
    }

    /// Asks it to stop, and waits so long for what that comes to.
    pub(in crate::cli) async fn cancel(
        &self,
        id: TaskId,
        body: &CancelBody,
        wait: Option<Duration>,
    ) -> Result<CancelAnswered, CallError> {
        let asked = self.request(Method::POST, &["tasks", &id.to_string(), "cancel"], &()).json(body);
        let asked = match wait {
            Some(time) => waiting(asked, time),
            None => asked,
        };
        let answer = self.send(asked).await?;
        self.read(answer).await
    }

    /// Makes it stand still.
    pub(in crate::cli) async fn pause(&self, id: TaskId, reason: &str) -> Result<Changed, CallError> {
        self.post(&["tasks", &id.to_string(), "pause"], &PauseBody { reason: reason.to_owned() }).await
    }

    /// Lets it go on.
    pub(in crate::cli) async fn resume(&self, id: TaskId) -> Result<Changed, CallError> {
        self.act(&["tasks", &id.to_string(), "resume"]).await
    }

    /// Sends it a signal.
    pub(in crate::cli) async fn signal(&self, id: TaskId, body: &SignalBody) -> Result<Notified, CallError> {
        self.post(&["tasks", &id.to_string(), "signals"], body).await
    }

    /// Says something to it.
    pub(in crate::cli) async fn instruct(&self, id: TaskId, text: &str) -> Result<Notified, CallError> {
        self.post(&["tasks", &id.to_string(), "instructions"], &InstructBody { text: text.to_owned() }).await
    }

    /// Gives it fuel, or none.
    pub(in crate::cli) async fn fuel(&self, id: TaskId, body: &Fuel) -> Result<Changed, CallError> {
        self.post(&["tasks", &id.to_string(), "fuel"], body).await
    }

    /// A file that it attached.
    pub(in crate::cli) async fn artifact(&self, id: TaskId, number: u32) -> Result<Vec<u8>, CallError> {
        let path = ["tasks", &id.to_string(), "artifacts", &number.to_string()];
        let answer = self.send(self.request(Method::GET, &path, &())).await?;
        Ok(answer.bytes().await.map_err(|error| CallError::of(error, self.data()))?.to_vec())
    }

    /// The questions that nobody has decided.
    pub(in crate::cli) async fn approvals(&self, filter: &ApprovalFilter) -> Result<ApprovalList, CallError> {
        self.get(&["approvals"], filter).await
    }

    /// Decides one.
    pub(in crate::cli) async fn decide(
        &self,
        id: TaskId,
        number: ApprovalNumber,
        verdict: &Verdict,
    ) -> Result<Changed, CallError> {
        self.post(&["tasks", &id.to_string(), "approvals", &number.0.to_string()], verdict).await
    }

    /// Stops many.
    pub(in crate::cli) async fn stop(&self, body: &StopBody) -> Result<Stops, CallError> {
        self.post(&["stop"], body).await
    }

    /// The plugins that are loaded.
    pub(in crate::cli) async fn plugins(&self) -> Result<PluginList, CallError> {
        self.get(&["plugins"], &()).await
    }

    /// One of them.
    pub(in crate::cli) async fn plugin(&self, name: &str) -> Result<PluginInfo, CallError> {
        self.get(&["plugins", name], &()).await
    }

    /// Loads one. The name is for a plain command, which does not know its own.
    pub(in crate::cli) async fn add_plugin(
        &self,
        name: Option<&str>,
        bytes: PluginBytes,
    ) -> Result<PluginInfo, CallError> {
        let query = AddQuery { name: name.map(str::to_owned), signature: bytes.signature.map(Signature) };
        self.upload(Method::POST, &["plugins"], &query, bytes.wasm).await
    }

    /// Replaces one.
    pub(in crate::cli) async fn replace_plugin(
        &self,
        name: &str,
        bytes: PluginBytes,
        how: Unload,
    ) -> Result<PluginReplaced, CallError> {
        let query = ReplaceQuery { how, signature: bytes.signature.map(Signature) };
        self.upload(Method::PUT, &["plugins", name], &query, bytes.wasm).await
    }

    async fn upload<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &impl Query,
        wasm: Vec<u8>,
    ) -> Result<T, CallError> {
        let kind = HeaderValue::from_static("application/wasm");
        let answer = self.send(self.request(method, path, query).header(CONTENT_TYPE, kind).body(wasm)).await?;
        self.read(answer).await
    }

    /// Unloads one.
    pub(in crate::cli) async fn unload_plugin(&self, name: &str, how: Unload) -> Result<Stops, CallError> {
        let answer = self.send(self.request(Method::DELETE, &["plugins", name], &UnloadQuery(how))).await?;
        self.read(answer).await
    }

    /// Lets its tasks be started, or not.
    pub(in crate::cli) async fn enable_plugin(&self, name: &str, enabled: bool) -> Result<Changed, CallError> {
        self.act(&["plugins", name, if enabled { "enable" } else { "disable" }]).await
    }

    /// Takes a capability away from a plugin's tasks.
    pub(in crate::cli) async fn revoke_of_plugin(
        &self,
        name: &str,
        body: &RevokeBody,
    ) -> Result<RevokeReport, CallError> {
        self.post(&["plugins", name, "revoke"], body).await
    }

    /// Takes a capability away from a task and those below it.
    pub(in crate::cli) async fn revoke(&self, id: TaskId, body: &RevokeBody) -> Result<RevokeReport, CallError> {
        self.post(&["tasks", &id.to_string(), "revoke"], body).await
    }

    /// All schedules.
    pub(in crate::cli) async fn schedules(&self) -> Result<ScheduleList, CallError> {
        self.get(&["schedules"], &()).await
    }

    /// One of them.
    pub(in crate::cli) async fn schedule(&self, id: ScheduleId) -> Result<Schedule, CallError> {
        self.get(&["schedules", &id.to_string()], &()).await
    }

    /// Adds one.
    pub(in crate::cli) async fn add_schedule(&self, new: &NewSchedule) -> Result<Schedule, CallError> {
        self.post(&["schedules"], new).await
    }

    /// Removes one.
    pub(in crate::cli) async fn remove_schedule(&self, id: ScheduleId) -> Result<(), CallError> {
        self.delete(&["schedules", &id.to_string()]).await
    }

    /// Lets one fire no more.
    pub(in crate::cli) async fn pause_schedule(&self, id: ScheduleId) -> Result<Schedule, CallError> {
        self.act(&["schedules", &id.to_string(), "pause"]).await
    }

    /// Lets one fire again.
    pub(in crate::cli) async fn resume_schedule(&self, id: ScheduleId) -> Result<Schedule, CallError> {
        self.act(&["schedules", &id.to_string(), "resume"]).await
    }

    /// Starts its task now.
    pub(in crate::cli) async fn fire_schedule(&self, id: ScheduleId) -> Result<Snapshot, CallError> {
        self.act(&["schedules", &id.to_string(), "fire"]).await
    }

    /// Has the server read its policy again.
    pub(in crate::cli) async fn reload_policy(&self) -> Result<PolicyChange, CallError> {
        self.act(&["policy", "reload"]).await
    }

    /// Throws ended tasks away.
    pub(in crate::cli) async fn gc(&self, gc: &Gc) -> Result<Removed, CallError> {
        self.post(&["gc"], gc).await
    }
}
