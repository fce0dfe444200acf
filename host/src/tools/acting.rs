//! The tools that change something.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    ApprovalAnswer, ApprovalNumber, CancelAnswer, CancelRequest, NotifyAnswer, Outcome, Party, Routing, SignalKey,
    StartError, StartRequest, Started, TaskHandle, TaskKey,
};

use super::answer::{Told, head};
use super::definition::Tool;
use super::inputs::{Approve, Deny, Instruct, Notify, Start, Stop, WAIT_MS_MAX};
use super::toolbox::Tools;
use super::view;

impl Tools {
    pub(super) async fn start(&self, input: Start) -> Told {
        let (plugin, task_type) = (input.plugin.clone(), input.task_type.clone());
        let mut request = StartRequest::new(input.plugin, input.task_type);
        if let Some(value) = input.input {
            request = request.input(value);
        }
        if let Some(title) = input.title {
            request = request.title(title);
        }
        if let Some(key) = input.key {
            request = request.key(TaskKey::new(key).map_err(|error| format!("key: {error}"))?);
        }
        if let Some(wait) = input.wait_ms {
            request = request.routing(Routing::DetachAfter { after: Duration::from_millis(wait.min(WAIT_MS_MAX)) });
        }
        // A request is large, and a caller's own future should not be.
        let started = Box::pin(self.host.run(self.options.prepared(request))).await;
        match started.map_err(|error| not_started(&error, &plugin, &task_type))? {
            Started::Ready { task, .. } => Ok(view::task(&task.state())),
            Started::Pending(task) => {
                let next = "it goes on in the background; see task_wait, task_state, task_output";
                // All of it: what is asked here is not a new question to whoever waits for the task later.
                let mut told = view::task(&task.state());
                if let Value::Object(fields) = &mut told {
                    fields.insert("next".to_owned(), next.into());
                }
                Ok(told)
            }
        }
    }

    pub(super) async fn stop(&self, input: Stop, sent: Value) -> Told {
        let task = self.find(&input.task)?;
        self.ask_for_others(&task, Tool::Stop, "stop", sent).await?;
        let request = if input.force {
            CancelRequest::force(Party::Agent, input.reason)
        } else {
            CancelRequest::new(Party::Agent, input.reason)
        };
        match task.cancel(request).await {
            CancelAnswer::Requested => Ok(json!({
                "task": task.id().to_string(),
                "asked_to_stop": true,
                "next": "task_wait shows how it ended",
            })),
            CancelAnswer::AlreadyEnded(outcome) => Err(ended(&task, &outcome)),
            CancelAnswer::NotFound => Err("there is no such task any more; see task_list".to_owned()),
        }
    }

    pub(super) async fn notify(&self, input: Notify, sent: Value) -> Told {
        let key = SignalKey::new(input.key).map_err(|error| format!("key: {error}"))?;
        let task = self.find(&input.task)?;
        self.ask_for_others(&task, Tool::Notify, "send a signal to", sent).await?;
        said(&task, task.notify(key, input.payload, Party::Agent).await)
    }

    pub(super) async fn instruct(&self, input: Instruct, sent: Value) -> Told {
        let task = self.find(&input.task)?;
        self.ask_for_others(&task, Tool::Instruct, "say something to", sent).await?;
        said(&task, task.instruct(input.text, Party::Agent).await)
    }

    pub(super) async fn approve(&self, input: Approve, sent: Value) -> Told {
        let task = self.find(&input.task)?;
        self.ask_for_others(&task, Tool::Approve, "say yes to a question of", sent).await?;
        let answer = task.approve(ApprovalNumber(input.number), input.input, Party::Agent).await;
        decided(&task, input.number, answer)
    }

    pub(super) async fn deny(&self, input: Deny, sent: Value) -> Told {
        let task = self.find(&input.task)?;
        self.ask_for_others(&task, Tool::Deny, "say no to a question of", sent).await?;
        let answer = task.deny(ApprovalNumber(input.number), input.reason, Party::Agent).await;
        decided(&task, input.number, answer)
    }
}

fn not_started(error: &StartError, plugin: &str, task_type: &str) -> String {
    let next = if let StartError::KeyInUse { task } | StartError::KeyAwaitsPlugin { task, .. } = error {
        format!("; task_list with task_type {:?} shows its id", task.task_type)
    } else if matches!(error, StartError::InvalidInput { .. }) {
        format!("; task_types with plugin {plugin:?} and task_type {task_type:?} shows the schema")
    } else if matches!(error, StartError::UnknownPlugin { .. } | StartError::UnknownTaskType { .. }) {
        "; task_types lists what there is".to_owned()
    } else {
        String::new()
    };
    format!("nothing was started: {error}{next}")
}

fn ended(task: &TaskHandle, outcome: &Outcome) -> String {
    let outcome = outcome.to_string();
    format!("task {} has ended already and stays as it is ({}); task_state shows it", task.id(), head(&outcome, 300))
}

fn said(task: &TaskHandle, answer: NotifyAnswer) -> Told {
    let how = match answer {
        NotifyAnswer::Delivered => "delivered",
        NotifyAnswer::Buffered => "kept until the task looks for it",
        NotifyAnswer::NoTask => {
            return Err(match task.state().outcome {
                Some(outcome) => ended(task, &outcome),
                None => format!("task {} does not answer; task_state shows where it is", task.id()),
            });
        }
        NotifyAnswer::Full => {
            return Err(
                "nothing was sent: it is too large, or the task keeps too much that it has not read; send less, or \
                        wait until it has read some"
                    .to_owned(),
            );
        }
    };
    Ok(json!({ "task": task.id().to_string(), "sent": how }))
}

fn decided(task: &TaskHandle, number: u64, answer: ApprovalAnswer) -> Told {
    match answer {
        ApprovalAnswer::Decided => Ok(json!({ "task": task.id().to_string(), "number": number, "decided": true })),
        ApprovalAnswer::NotAsked => Err(format!(
            "task {} has no open question {number}: it was decided already, or never asked; task_approvals lists those that \
             are open",
            task.id()
        )),
        ApprovalAnswer::NotAllowed(reason) => Err(format!(
            "question {number} is not for the agent to decide ({}); nothing was decided: tell the person, who can",
            head(&reason, 300)
        )),
        ApprovalAnswer::AlreadyEnded(outcome) => Err(ended(task, &outcome)),
    }
}
