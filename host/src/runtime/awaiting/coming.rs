//! What becomes of those who waited for a plugin when it is loaded: decided and written down for all of them, and only then
//! anything runs, in the order of their starts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::model::command::{Command, Decision, HostFit};
use crate::model::ids::SignalKey;
use crate::model::machine::step;
use crate::model::outbox::Delivery;

use super::super::actor::{Actor, Ended};
use super::super::cell::Cell;
use super::super::host::Inner;
use super::super::making::{Body, Makings, make};
use super::super::recovery::found::{AT_ONCE, Fit};
use super::super::registry::TreePlace;
use super::super::terminal::AtEnd;
use super::super::version::{Version, VersionUse};
use super::Call;
use super::idle::Caretaker;

/// What a task keeps that a host before this one has left, whether it waits or goes on.
pub(in crate::runtime) struct Kept {
    pub(in crate::runtime) body: Body,
    pub(in crate::runtime) told_once: HashMap<SignalKey, Delivery>,
    pub(in crate::runtime) tree: Option<TreePlace>,
    pub(in crate::runtime) at_end: Option<Box<AtEnd>>,
}

impl Kept {
    /// The actor that goes on with it, and its code, which has not begun.
    pub(in crate::runtime) fn actor(self, inner: &Arc<Inner>, fit: Fit) -> (Box<Actor>, Cell) {
        let Fit { version, schemas, wanted, papers, attached } = fit;
        let task_type = &self.body.shared.task.task_type;
        let hooks = inner.task_hooks(&version.plugin, task_type, papers.grants.as_deref());
        let makings = Makings {
            body: self.body,
            schemas,
            wanted,
            at_end: self.at_end,
            hooks,
            tree: self.tree,
            attached,
            queued: Some(inner.queue.enter_again()),
            told_once: self.told_once,
            grants: papers.grants.map(|grants| *grants),
            version,
        };
        let (actor, ready) = make(inner, makings);
        (actor, Cell::Idle { ready })
    }
}

/// Calls these tasks back from those who take care of them.
async fn call_back(calls: Vec<Call>) -> Vec<Caretaker> {
    let mut coming = Vec::new();
    for call in calls {
        let (give, given) = oneshot::channel();
        // One that ends just now does not come.
        if call.send(give).is_ok() {
            coming.push(given);
        }
    }
    let mut came = Vec::new();
    for given in coming {
        came.extend(given.await.ok().map(|of| *of));
    }
    came
}

/// A task for which it is decided what becomes of it.
struct Decided {
    of: Caretaker,
    /// What it goes on with.
    fit: Option<Fit>,
    written: Result<(), Ended>,
}

impl Inner {
    /// Goes on with all that waited for plugins which are here.
    pub(in crate::runtime) async fn go_on_with_all(self: &Arc<Self>) {
        for name in self.standby.awaiting.names() {
            self.go_on_with(&name).await;
        }
    }

    /// Goes on with all that waited for the plugin of this name, if it is here.
    pub(in crate::runtime) async fn go_on_with(self: &Arc<Self>, name: &str) {
        while let Some(version) = self.registry.version(name) {
            self.tell_of_ends(&version);
            let came = call_back(self.standby.awaiting.take(name)).await;
            let mut waits_on = false;
            for Decided { of, fit, written } in self.decide_about_these(came).await {
                match (written, fit) {
                    (Err(Ended), _) => self.spawn(Box::pin(of.end())),
                    (Ok(()), Some(fit)) => self.go_on(of, fit),
                    (Ok(()), None) => {
                        waits_on = true;
                        self.spawn(Box::new(of).wait());
                    }
                }
            }
            if !waits_on {
                return;
            }
            // The plugin was unloaded meanwhile, and may be here again.
        }
    }

    /// Decides about these, and has it written down, many at once.
    async fn decide_about_these(&self, these: Vec<Caretaker>) -> Vec<Decided> {
        let (mut writing, mut decided) = (JoinSet::new(), BTreeMap::new());
        let mut note = |written: Option<Decided>| {
            // One that is torn off is with the next host.
            decided.extend(written.map(|decided| (decided.of.shared().number, decided)));
        };
        for mut of in these {
            if writing.len() >= AT_ONCE
                && let Some(written) = writing.join_next().await
            {
                note(written.ok());
            }
            let shared = Arc::clone(of.shared());
            let schema = shared.state().details.output_schema.clone();
            let (fit, what) = match self.fit(&shared.task, schema.as_ref(), of.papers.as_ref()) {
                Ok(fit) => (Some(fit), HostFit::Whole),
                Err(what) => (None, what),
            };
            let command = Command::HostRestarted { fit: what, now: shared.around.clock.date() };
            let Decision { events, .. } = step(&shared.state(), command);
            if fit.is_some() {
                shared.set_awaits(None);
            }
            writing.spawn(async move {
                let written = of.write_last(events).await;
                Decided { of, fit, written }
            });
        }
        while let Some(written) = writing.join_next().await {
            note(written.ok());
        }
        decided.into_values().collect()
    }

    fn go_on(self: &Arc<Self>, of: Caretaker, fit: Fit) {
        let Caretaker { kept, life, children, .. } = of;
        let id = kept.body.shared.id;
        for child in children {
            self.standby.keep_child(id, child);
        }
        let (mut actor, cell) = kept.actor(self, fit);
        actor.life = life;
        actor.version.born();
        self.spawn(Box::pin(actor.run(cell)));
    }

    /// Tells a plugin of the ends of its tasks that came while it was not here.
    pub(super) fn tell_of_ends(&self, version: &Arc<Version>) {
        for of in self.standby.awaiting.take_untold(version.plugin.name(), version.plugin.digest()) {
            // One that is forgotten is nobody's any more.
            let Some(shared) = self.registry.by_id(of.id) else { continue };
            if let Some(hooks) = self.task_hooks(&version.plugin, &shared.task.task_type, of.grants.as_ref()) {
                self.spawn(self.tell_of_end(shared, hooks, VersionUse::new(Arc::clone(version))));
            }
        }
    }
}
