//! What the server has acknowledged, and what must be true of that for ever.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::{Gone, Server};
use crate::support::within;

/// What a task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Ends at once.
    Short,
    /// Waits for signals, and cannot be begun again.
    Waits,
    /// Waits for a signal, asks for approval, waits again, and begins again when its host has gone.
    Restarts,
    /// Sends its agent a message, and ends.
    Tells,
    /// Has a plugin that is told of its end.
    Hooked,
}

pub(super) const SHAPES: [Shape; 5] = [Shape::Short, Shape::Waits, Shape::Restarts, Shape::Tells, Shape::Hooked];

impl Shape {
    fn request(self, number: usize) -> Value {
        let (plugin, task_type, input) = match self {
            Self::Short => ("fixture", "echo", json!(number)),
            Self::Waits => ("fixture", "begin-once", json!({})),
            Self::Restarts => ("fixture", "begin-again", json!({})),
            Self::Tells => ("fixture", "agent", json!({"message": format!("message {number}"), "trigger": false})),
            Self::Hooked => ("hooks", "echo", json!(number)),
        };
        let key = format!("task {number}");
        let mut request = json!({"plugin": plugin, "task_type": task_type, "input": input, "key": key});
        request["details"] = json!({"session": "s"});
        if self == Self::Restarts {
            request["grants"] = json!({"kv": true});
        }
        request
    }
}

/// One start that was asked for.
#[derive(Debug)]
struct Entry {
    shape: Shape,
    request: Value,
    /// Its id, once it was acknowledged.
    id: Option<String>,
    /// Payloads of signals that were acknowledged.
    signals: BTreeSet<u64>,
    /// Whether a decision was acknowledged.
    approved: bool,
    /// Whether a wish to stop was acknowledged.
    cancelled: bool,
    /// Its outcome, once somebody saw it.
    outcome: Option<Value>,
    /// Its events, as far as somebody saw them.
    events: Vec<Value>,
}

/// Everything that was asked for.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By idempotency keys, the oldest first.
    entries: BTreeMap<String, Entry>,
    payloads: u64,
    /// Messages that somebody has acknowledged, by task.
    acknowledged: BTreeSet<(String, u64)>,
    /// Starts, and what else chance had done, that were acknowledged.
    pub(super) acks: usize,
}

impl Ledger {
    /// Starts a task; its id.
    pub(super) async fn start(&mut self, server: &Server, shape: Shape) -> Result<String, Gone> {
        let (status, body) = self.try_start(server, shape).await?;
        assert!(status.is_success(), "{status}: {body}");
        Ok(id_of(&body))
    }

    /// The same, where it may be refused.
    pub(super) async fn try_start(&mut self, server: &Server, shape: Shape) -> Result<(StatusCode, Value), Gone> {
        let number = self.entries.len();
        let once = format!("once {number:05}");
        let request = shape.request(number);
        let entry = Entry {
            shape,
            request: request.clone(),
            id: None,
            signals: BTreeSet::new(),
            approved: false,
            cancelled: false,
            outcome: None,
            events: Vec::new(),
        };
        self.entries.insert(once.clone(), entry);
        let (status, body) = server.ask(Method::POST, "/tasks", Some(&once), Some(request)).await?;
        // One that has ended by now is told as such.
        if status.is_success() {
            self.acks += 1;
            self.entries.get_mut(&once).unwrap().id = Some(id_of(&body));
        }
        Ok((status, body))
    }

    /// The idempotency key of a task that was started.
    pub(super) fn key_of(&self, id: &str) -> &str {
        self.entries.iter().find(|(_, entry)| entry.id.as_deref() == Some(id)).unwrap().0
    }

    /// Nothing is expected of this task any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.entries.retain(|_, entry| entry.id.as_deref() != Some(id));
    }

    fn known(&self) -> Vec<(String, String)> {
        let known = |(once, entry): (&String, &Entry)| Some((once.clone(), entry.id.clone()?));
        self.entries.iter().filter_map(known).collect()
    }

    /// Which task is the newest but so many, for [`act`](Self::act).
    pub(super) fn newest(&self, back: usize) -> usize {
        (self.known().len().max(1) - 1).saturating_sub(back)
    }

    /// Does something with one of the tasks that there are, by two random numbers.
    pub(super) async fn act(&mut self, server: &Server, which: usize, what: usize) -> Result<(), Gone> {
        let known = self.known();
        let Some((once, id)) = known.get(which % known.len().max(1)) else { return Ok(()) };
        match what % 6 {
            0 | 1 => self.signal(server, once, id, if self.payloads.is_multiple_of(2) { "two" } else { "one" }).await?,
            2 => {
                // Few tasks ask for anything: it is decided for any of them.
                let asked = server.get("/approvals").await?;
                let open = asked["approvals"].as_array().unwrap();
                if let Some(open) = open.get(which % open.len().max(1)) {
                    self.approve(server, open).await?;
                }
            }
            3 if self.entries[once].shape == Shape::Waits => self.cancel(server, once, id).await?,
            4 => self.acknowledge(server, 1).await?,
            _ => self.look(server, once, id).await?,
        }
        self.acks += 1;
        Ok(())
    }

    /// Does each thing that can be acknowledged, which chance need not do.
    pub(super) async fn act_each(&mut self, server: &Server) -> Result<(), Gone> {
        let id = self.start(server, Shape::Waits).await?;
        let stopped = self.key_of(&id).to_owned();
        self.signal(server, &stopped, &id, "one").await?;
        self.cancel(server, &stopped, &id).await?;
        let stopped = &self.entries[&stopped];
        assert!(stopped.cancelled && !stopped.signals.is_empty(), "{stopped:?}");
        let id = self.start(server, Shape::Restarts).await?;
        let once = self.key_of(&id).to_owned();
        self.signal(server, &once, &id, "one").await?;
        let path = format!("/approvals?task={id}");
        let asked = async {
            loop {
                if let Some(open) = server.get(&path).await?["approvals"].get(0) {
                    break Ok(open.clone());
                }
            }
        };
        let open = within(asked).await?;
        self.approve(server, &open).await?;
        let approved = &self.entries[&once];
        assert!(approved.approved && !approved.signals.is_empty(), "{approved:?}");
        self.start(server, Shape::Tells).await?;
        let before = self.acknowledged.len();
        let acknowledged = async {
            while self.acknowledged.len() == before {
                self.acknowledge(server, 60_000).await?;
            }
            Ok(())
        };
        within(acknowledged).await
    }

    /// Sends a task a signal that has not been before.
    async fn signal(&mut self, server: &Server, once: &str, id: &str, key: &str) -> Result<(), Gone> {
        self.payloads += 1;
        let payload = self.payloads;
        let body = json!({"key": key, "payload": payload});
        let (status, body) = server.post(&format!("/tasks/{id}/signals"), body).await?;
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{status}: {body}");
        if ["delivered", "buffered"].contains(&body["answer"].as_str().unwrap_or_default()) {
            self.entries.get_mut(once).unwrap().signals.insert(payload);
        }
        Ok(())
    }

    /// Says yes to what was asked.
    async fn approve(&mut self, server: &Server, open: &Value) -> Result<(), Gone> {
        let id = id_of(open);
        let path = format!("/tasks/{id}/approvals/{}", open["number"]);
        let (status, body) = server.post(&path, json!({"verdict": "approve"})).await?;
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{status}: {body}");
        // One whose start was cut off has no id here.
        if let Some(entry) = self.entries.values_mut().find(|entry| entry.id.as_ref() == Some(&id)) {
            entry.approved |= status.is_success();
        }
        Ok(())
    }

    /// Asks a task to stop, and does not wait for it.
    async fn cancel(&mut self, server: &Server, once: &str, id: &str) -> Result<(), Gone> {
        let body = json!({"reason": "enough", "grace_ms": 0});
        let (status, body) = server.post(&format!("/tasks/{id}/cancel"), body).await?;
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{status}: {body}");
        self.entries.get_mut(once).unwrap().cancelled |= body["answer"] == "requested";
        Ok(())
    }

    /// Takes a few messages for so long, and acknowledges them.
    async fn acknowledge(&mut self, server: &Server, time_ms: u64) -> Result<(), Gone> {
        let claimed = server.post("/messages/claim", json!({"most": 3, "time_ms": time_ms})).await?.1;
        for message in claimed["messages"].as_array().into_iter().flatten() {
            let token = message["token"].clone();
            let of = message["message"]["id"].as_str().unwrap().to_owned();
            let number = message["message"]["number"].as_u64().unwrap();
            assert!(
                !self.acknowledged.contains(&(of.clone(), number)),
                "a message comes again that was acknowledged: {message}"
            );
            let acked = server.post("/messages/ack", json!({ "token": token })).await?.1;
            if acked["acknowledged"] == true {
                self.acknowledged.insert((of, number));
            }
        }
        Ok(())
    }

    /// Looks at a task: what was seen of it once stays.
    async fn look(&mut self, server: &Server, once: &str, id: &str) -> Result<(), Gone> {
        let snapshot = server.get(&format!("/tasks/{id}")).await?;
        let mut events = Vec::new();
        loop {
            let after = events.len();
            let page = server.get(&format!("/tasks/{id}/events?after={after}&limit=50")).await?;
            let new = page["events"].as_array().unwrap();
            if new.is_empty() {
                break;
            }
            events.extend(new.iter().cloned());
        }
        let entry = self.entries.get_mut(once).unwrap();
        for (event, number) in events.iter().zip(1..) {
            assert_eq!(event["seq"], number, "{once}: there is no gap: {events:#?}");
        }
        let kept = &events[..entry.events.len().min(events.len())];
        assert_eq!(kept, &entry.events[..], "{once}: what was seen once is there");
        entry.events = events;
        let outcome = &snapshot["outcome"];
        if !outcome.is_null() {
            let before = entry.outcome.get_or_insert_with(|| outcome.clone());
            assert_eq!(before, outcome, "{once}: an outcome stays");
        }
        Ok(())
    }

    /// Everything that was acknowledged is there.
    pub(super) async fn check(&mut self, server: &Server) -> Result<(), Gone> {
        for (once, id) in self.known() {
            self.look(server, &once, &id).await?;
            let entry = &self.entries[&once];
            let created = &entry.events[0]["body"];
            assert_eq!(created["event"], "created", "{once}");
            assert_eq!(created["details"]["idempotency_key"], json!(once));
            let bodies = || entry.events.iter().map(|event| &event["body"]);
            let received: Vec<u64> = bodies()
                .filter(|body| body["event"] == "signal-received")
                .filter_map(|body| body["signal"]["payload"].as_u64())
                .collect();
            for payload in &entry.signals {
                let times = received.iter().filter(|received| *received == payload).count();
                assert_eq!(times, 1, "{once}: signal {payload}: {:#?}", entry.events);
            }
            if entry.approved {
                let yes = |body: &&Value| {
                    body["event"] == "approval-decided" && body["decision"].to_string().contains("approved")
                };
                assert_eq!(bodies().filter(yes).count(), 1, "{once}: {:#?}", entry.events);
            }
            assert!(!entry.cancelled || bodies().any(|body| body["event"] == "cancel-requested"), "{once}");
            let ends = bodies().filter(|body| body["event"] == "finished").count();
            // It may have ended after somebody looked at its outcome, and before its events were read.
            assert!(ends <= 1 && (ends == 1 || entry.outcome.is_none()), "{once}: {:#?}", entry.events);
            let is_last = entry.events.last().is_some_and(|event| event["body"]["event"] == "finished");
            assert_eq!(is_last, ends == 1, "{once}: {:#?}", entry.events);
        }
        Ok(())
    }

    /// Brings every task to its end, and sees that each start made one task, with one outcome and one terminal effect.
    pub(super) async fn finish(&mut self, server: &Server) {
        // What was asked for without an answer is asked for again: it is one task all the same.
        for (once, entry) in &mut self.entries {
            let body = Some(entry.request.clone());
            let (status, body) = server.ask(Method::POST, "/tasks", Some(once), body).await.unwrap();
            assert!(status.is_success(), "{once}: {status}: {body}");
            let id = id_of(&body);
            assert_eq!(entry.id.get_or_insert_with(|| id.clone()), &id, "{once}: the same task");
        }
        for (_, id) in self.known() {
            let mut rounds = 0;
            loop {
                let snapshot = server.get(&format!("/tasks/{id}")).await.unwrap();
                if !snapshot["outcome"].is_null() {
                    break;
                }
                for key in ["one", "two"] {
                    let _ = server.post(&format!("/tasks/{id}/signals"), json!({ "key": key })).await.unwrap();
                }
                for open in server.get(&format!("/approvals?task={id}")).await.unwrap()["approvals"].as_array().unwrap()
                {
                    let path = format!("/tasks/{id}/approvals/{}", open["number"]);
                    let _ = server.post(&path, json!({"verdict": "approve"})).await.unwrap();
                }
                rounds += 1;
                assert!(rounds < 10_000, "it goes on for ever: {snapshot:#}");
            }
        }
        self.check(server).await.unwrap();
        let (mut cursor, mut listed) = (String::new(), Vec::new());
        loop {
            let page = server.get(&format!("/tasks?limit=100{cursor}")).await.unwrap();
            listed.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let ids: BTreeSet<String> = self.known().into_iter().map(|(_, id)| id).collect();
        assert_eq!(listed.len(), ids.len(), "no task was started twice");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), ids);
        self.check_effects(server).await;
    }

    /// What was never acknowledged for any task, of that which can be: what is never done shows nothing.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let some = |what: fn(&Entry) -> bool| self.entries.values().any(what);
        let seen = [
            (some(|entry| !entry.signals.is_empty()), "a signal"),
            (some(|entry| entry.approved), "a decision"),
            (some(|entry| entry.cancelled), "a wish to stop"),
            (!self.acknowledged.is_empty(), "a message"),
        ];
        seen.into_iter().find(|(is_seen, _)| !is_seen).map(|(_, what)| what)
    }

    /// Each task whose plugin is told of its end has one note that it was.
    async fn check_effects(&self, server: &Server) {
        for (once, entry) in self.entries.iter().filter(|(_, entry)| entry.shape == Shape::Hooked) {
            let id = entry.id.clone().unwrap();
            let mut rounds = 0;
            loop {
                let after = server.get(&format!("/tasks/{id}/after")).await.unwrap();
                let is_done =
                    |event: &&Value| event["body"]["event"] == "hook-done" && event["body"]["hook"] == "on-terminal";
                let done = after["events"].as_array().unwrap().iter().filter(is_done).count();
                assert!(done <= 1, "{once}: {after:#}");
                if done == 1 {
                    break;
                }
                rounds += 1;
                assert!(rounds < 10_000, "{once}: its plugin is never told");
            }
        }
    }
}

fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}
