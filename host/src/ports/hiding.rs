//! What a guest says to its actor, without the host's secrets.
//!
//! Here and not where things are written down, so that all goes by the same words: a key with a secret in it is hidden for
//! whoever waits for it as for whoever sends to it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::approval::ApprovalAsk;
use crate::model::children::ChildOptions;
use crate::model::command::PlanCommand;
use crate::model::ids::TaskRef;
use crate::model::outcome::{CellEnd, Failure, GuestOutcome};
use crate::model::plan::{Plan, PlanError};

use super::runner::GuestCall;
use super::secrets::{Known, Secrets};

impl Known {
    fn hide_maybe(&self, text: &mut Option<String>) {
        let _ = text.as_mut().is_some_and(|text| self.hide(text));
    }

    fn hide_value(&self, value: &mut Option<Value>) {
        let _ = value.as_mut().is_some_and(|value| self.hide_in(value));
    }

    /// A key stays one: what hides a secret may stand in it.
    fn hide_key<K: Clone + Into<String> + TryFrom<String>>(&self, key: &mut K) {
        let mut text: String = key.clone().into();
        if self.hide(&mut text)
            && let Ok(hidden) = K::try_from(text)
        {
            *key = hidden;
        }
    }

    fn hide_ref(&self, task: &mut TaskRef) {
        let TaskRef { plugin, task_type, key } = task;
        self.hide(plugin);
        self.hide(task_type);
        self.hide_key(key);
    }

    fn hide_options(&self, options: &mut ChildOptions) {
        let ChildOptions { key, title, labels, limits: _, detached: _, plugin: _, retry: _ } = options;
        if let Some(key) = key {
            self.hide_key(key);
        }
        self.hide_maybe(title);
        let hidden = |mut text: String| {
            self.hide(&mut text);
            text
        };
        let all: BTreeMap<String, String> =
            std::mem::take(labels).into_iter().map(|(name, value)| (hidden(name), hidden(value))).collect();
        *labels = all;
    }

    fn hide_ask(&self, ask: &mut ApprovalAsk) {
        let ApprovalAsk { kind, reason, summary, metadata, timeout: _ } = ask;
        for text in [kind, reason, summary] {
            self.hide(text);
        }
        self.hide_value(metadata);
    }

    /// Steps whose names are the same now are no plan.
    fn hide_plan(&self, set: &mut Result<Box<Plan>, PlanError>) {
        let Ok(plan) = set else { return };
        self.hide(&mut plan.goal);
        for step in &mut plan.steps {
            for text in [&mut step.name, &mut step.description, &mut step.action, &mut step.validation] {
                self.hide(text);
            }
            self.hide_maybe(&mut step.note);
        }
        if let Err(error) = plan.check() {
            *set = Err(error);
        }
    }

    fn hide_change(&self, change: &mut PlanCommand) {
        match change {
            PlanCommand::Set { plan, .. } | PlanCommand::Planned { plan, .. } => self.hide_plan(plan),
            PlanCommand::Advance { note, .. } | PlanCommand::FinishStep { note, .. } => self.hide_maybe(note),
            PlanCommand::AskPlanner { reason, .. } => {
                self.hide(reason);
            }
        }
    }

    fn hide_failure(&self, failure: &mut Failure) {
        let Failure { kind: _, message, error, retryable: _, limit: _, exit_code: _, backtrace } = failure;
        self.hide(message);
        self.hide_value(error);
        for line in backtrace {
            self.hide(line);
        }
    }
}

impl GuestCall {
    /// Hides the host's secrets in all that the guest says with it.
    pub(crate) fn hide(&mut self, secrets: &Secrets) {
        if secrets.is_empty() {
            return;
        }
        let known = secrets.known();
        match self {
            Self::Wait { keys, .. } => keys.iter_mut().for_each(|key| known.hide_key(key)),
            Self::Poll { key, .. } => known.hide_key(key),
            Self::Notify { target, key, payload, .. } => {
                known.hide_ref(target);
                known.hide_key(key);
                known.hide_value(payload);
            }
            Self::NotifyScope { key, payload, .. } => {
                known.hide_key(key);
                known.hide_value(payload);
            }
            Self::CancelWait { target, key, .. } => {
                known.hide_ref(target);
                if let Some(key) = key {
                    known.hide_key(key);
                }
            }
            Self::MessageAgent { message, once, .. } => {
                known.hide(message);
                if let Some(key) = once {
                    known.hide_key(key);
                }
            }
            Self::Attach { name, media_type, .. } => {
                known.hide(name);
                known.hide(media_type);
            }
            Self::RequestFuel { reason, .. } | Self::CancelChild { reason, .. } | Self::Replan { reason, .. } => {
                known.hide(reason);
            }
            Self::RequestApproval { ask, .. } => known.hide_ask(ask),
            Self::RecordUsage { tool, .. } => {
                known.hide(tool);
            }
            Self::SetNote { note, .. } => known.hide_maybe(note),
            Self::StartChild { input, options, .. } => {
                known.hide_in(input);
                known.hide_options(options);
            }
            Self::ChangePlan { change, .. } => known.hide_change(change),
            // What it is about is looked at as it is, and told without secrets.
            Self::Permit { why, .. } => known.hide_maybe(why),
            Self::CallHost { input, .. } => {
                known.hide_in(input);
            }
            Self::Panic { message, place, .. } => {
                known.hide(message);
                known.hide(place);
            }
            Self::NextInstruction { .. }
            | Self::WaitChild { .. }
            | Self::ChildState { .. }
            | Self::RunningChildren { .. }
            | Self::ReadPlan { .. }
            | Self::Denied { .. }
            | Self::TakeRoom { .. } => {}
            // Only the embedder knows what it carries.
            #[cfg(feature = "wit-extension")]
            Self::CallTyped { .. } => {}
        }
    }
}

impl Secrets {
    /// Hides them in what a guest came to, before any of it is cut off.
    pub(crate) fn hide_end(&self, end: &mut CellEnd) {
        if self.is_empty() {
            return;
        }
        let known = self.known();
        match end {
            CellEnd::Returned(
                GuestOutcome::Succeeded { message, data }
                | GuestOutcome::Cancelled { message, data }
                | GuestOutcome::Failed { message, error: data, .. },
            ) => {
                known.hide(message);
                known.hide_value(data);
            }
            CellEnd::Failed(failure) => known.hide_failure(failure),
        }
    }

    /// The same for what ended a hook.
    pub(crate) fn hide_failure(&self, failure: &mut Failure) {
        if !self.is_empty() {
            self.known().hide_failure(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::oneshot;

    use crate::model::ids::{SignalKey, TaskKey};
    use crate::model::plan::PlanStep;
    use crate::model::signal::Party;

    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn hidden(mut call: GuestCall) -> String {
        call.hide(&Secrets::new([("s".to_owned(), SECRET.to_owned())]).unwrap());
        format!("{call:?}")
    }

    fn key() -> SignalKey {
        SignalKey::new(format!("k-{SECRET}")).unwrap()
    }

    fn target() -> TaskRef {
        let key = TaskKey::new(SECRET).unwrap();
        TaskRef { plugin: "p".to_owned(), task_type: "t".to_owned(), key }
    }

    fn said() -> String {
        format!("it is {SECRET}.")
    }

    fn value() -> Value {
        json!({ SECRET: [SECRET, 1] })
    }

    /// A call of each kind that carries words of the guest's.
    fn calls() -> Vec<GuestCall> {
        let step = PlanStep::new(said()).description(said()).action(said()).validation(said());
        let plan = Ok(Box::new(Plan::new(said()).step(step)));
        let options = ChildOptions {
            key: Some(TaskKey::new(SECRET).unwrap()),
            title: Some(said()),
            labels: BTreeMap::from([(said(), said())]),
            ..ChildOptions::default()
        };
        let ask = ApprovalAsk { metadata: Some(value()), ..ApprovalAsk::new(said(), said(), said()) };
        vec![
            GuestCall::Wait {
                keys: vec![key()],
                senders: crate::model::signal::Senders::default(),
                timeout: None,
                reply: oneshot::channel().0,
            },
            GuestCall::Poll { key: key(), reply: oneshot::channel().0 },
            GuestCall::Notify { target: target(), key: key(), payload: Some(value()), reply: oneshot::channel().0 },
            GuestCall::NotifyScope {
                session: false,
                key: key(),
                payload: Some(value()),
                all: true,
                reply: oneshot::channel().0,
            },
            GuestCall::CancelWait { target: target(), key: Some(key()), reply: oneshot::channel().0 },
            GuestCall::MessageAgent { message: said(), trigger: false, once: Some(key()), reply: oneshot::channel().0 },
            GuestCall::RequestFuel { units: 1, reason: said(), timeout: None, reply: oneshot::channel().0 },
            GuestCall::RequestApproval { ask, reply: oneshot::channel().0 },
            GuestCall::RecordUsage { tool: said(), tokens: 0, actions: 0, reply: oneshot::channel().0 },
            GuestCall::SetNote { note: Some(said()), reply: oneshot::channel().0 },
            GuestCall::StartChild {
                task_type: "t".to_owned(),
                input: value(),
                options: Box::new(options),
                reply: oneshot::channel().0,
            },
            GuestCall::ChangePlan {
                change: PlanCommand::Set { plan, expected: None, by: Party::Itself },
                reply: oneshot::channel().0,
            },
            GuestCall::Replan { reason: said(), timeout: None, reply: oneshot::channel().0 },
            GuestCall::CallHost { name: "f".to_owned(), input: value(), reply: oneshot::channel().0 },
            GuestCall::Panic { message: said(), place: said(), reply: oneshot::channel().0 },
        ]
    }

    #[test]
    fn t14_no_call_carries_a_secret_to_the_actor() {
        for call in calls() {
            let before = format!("{call:?}");
            assert!(before.contains(SECRET), "{before}");
            let after = hidden(call);
            assert!(!after.contains(SECRET) && after.contains("*********************"), "{after}");
        }
    }

    #[test]
    fn t14_steps_that_are_told_from_each_other_by_secrets_only_are_no_plan() {
        let other = "horse-correct-battery";
        let plan = Plan::new("").step(PlanStep::new(SECRET)).step(PlanStep::new(other));
        let mut set = Ok(Box::new(plan));
        let both = [("a".to_owned(), SECRET.to_owned()), ("b".to_owned(), other.to_owned())];
        Secrets::new(both).unwrap().known().hide_plan(&mut set);
        assert_eq!(set, Err(PlanError::SameName { name: "*".repeat(SECRET.len()) }));
    }
}
