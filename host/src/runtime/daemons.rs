//! Daemons: started with their plugin, and started again when they end by themselves. Whoever stops a plugin stops them
//! like its other tasks; their keepers only see to it that they are not started again.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::model::daemon::{AfterLife, Patience};
use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::ids::{TaskId, TaskKey};
use crate::model::manifest::TaskKind;
use crate::model::request::StartRequest;
use crate::ports::clock::Clock;

use super::actor::{Actor, stopped};
use super::attempts::chance;
use super::handle::TaskHandle;
use super::host::{Host, Inner};
use super::plugin::Plugin;
use super::start::start_daemon;
use super::start_error::StartError;
use super::version::{Standing, VersionUse};

/// What the operator says about daemons.
#[derive(Debug)]
pub(crate) struct Daemons {
    /// Whether they are started with their plugins.
    pub(crate) start: bool,
    /// What they may touch, by their plugins' names.
    pub(crate) grants: HashMap<String, Grants>,
}

/// How one daemon of a plugin does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DaemonStatus {
    /// Its plugin's name.
    pub plugin: String,
    /// Its type's name, which is its key.
    pub task_type: String,
    /// What it does.
    pub phase: DaemonPhase,
}

/// What a daemon does that the host keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DaemonPhase {
    /// It was started, and has no outcome.
    #[non_exhaustive]
    Running {
        /// As which task.
        task: TaskId,
    },
    /// It is about to be started, perhaps once more.
    Waiting,
    /// Somebody stopped it. It is started again when its plugin is disabled and enabled.
    Stopped,
    /// It ended again and again soon after its start, or cannot be started. So it stays until its plugin is disabled and
    /// enabled.
    #[non_exhaustive]
    GivenUp {
        /// Why, in a sentence.
        why: String,
    },
    /// Its plugin is disabled.
    Disabled,
}

impl Host {
    /// How the daemons do that the host started with its plugins, by plugin and type.
    pub fn daemons(&self) -> Vec<DaemonStatus> {
        self.inner().daemon_statuses()
    }
}

impl Inner {
    pub(super) fn daemon_statuses(&self) -> Vec<DaemonStatus> {
        let statuses = self.registry.versions().into_iter().flat_map(|version| {
            let plugin = version.plugin.name().to_owned();
            let daemons = version.daemons().into_iter();
            daemons.map(move |(task_type, phase)| DaemonStatus { plugin: plugin.clone(), task_type, phase })
        });
        statuses.collect()
    }

    /// Keeps the daemons of a version alive from now on, for as long as it is enabled.
    pub(super) fn keep_daemons(self: &Arc<Self>, version: &VersionUse) {
        if !self.daemons.start {
            return;
        }
        let types = version.plugin.manifest().tasks.iter();
        for task_type in types.filter(|task_type| task_type.kind == TaskKind::Daemon) {
            let keeper = Keeper {
                inner: Arc::clone(self),
                version: version.clone(),
                task_type: task_type.name.clone(),
                patience: Patience::default(),
            };
            self.spawn(Box::pin(keeper.run()));
        }
    }

    fn daemon_request(&self, plugin: &str, task_type: &str) -> StartRequest {
        let config = self.plugins.config(plugin);
        let input = config.get("daemons").and_then(|daemons| daemons.get(task_type)).cloned();
        let mut request = StartRequest::new(plugin, task_type);
        request.grants = self.daemons.grants.get(plugin).cloned();
        let nothing = Value::Object(serde_json::Map::new());
        request.input(input.unwrap_or(nothing))
    }
}

/// Keeps one daemon alive.
struct Keeper {
    inner: Arc<Inner>,
    version: VersionUse,
    task_type: String,
    patience: Patience,
}

impl Keeper {
    async fn run(mut self) {
        let mut shutdown = self.inner.shutdown.subscribe();
        tokio::select! {
            biased;
            () = stopped(&mut shutdown) => {}
            () = async {
                // One that the host before this one has left may go on.
                self.inner.standby.over().await;
                self.keep().await;
            } => {}
        }
    }

    /// Comes back when the version leaves. Cancel safety: the daemon is left to whoever stops all tasks.
    async fn keep(&mut self) {
        let clock = Arc::clone(&self.inner.around.clock);
        let mut standing = self.version.watch_standing();
        loop {
            let now = *standing.borrow_and_update();
            let after = match now {
                Standing::Leaving => return,
                Standing::Disabled => {
                    self.note(DaemonPhase::Disabled);
                    AfterLife::Rest
                }
                Standing::Enabled => self.live(&*clock).await,
            };
            let pause = match after {
                AfterLife::Again(pause) => Some(clock.steady().saturating_add(pause)),
                AfterLife::Rest | AfterLife::GiveUp { .. } => None,
            };
            tokio::select! {
                biased;
                // The sender lives in the version, which is in use.
                _ = standing.changed() => self.patience = Patience::default(),
                () = clock.sleep_until(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
    }

    /// One life of the daemon, from its start to its end.
    async fn live(&mut self, clock: &dyn Clock) -> AfterLife {
        self.note(DaemonPhase::Waiting);
        let request = self.inner.daemon_request(self.version.plugin.name(), &self.task_type);
        let started = Box::pin(start_daemon(&self.inner, request, self.version.clone())).await;
        let task = match started {
            Ok(task) => task,
            Err(error) => return self.not_started(error, clock).await,
        };
        self.see_end(task, clock).await
    }

    /// Waits for the end of a daemon that lives, and says what follows.
    async fn see_end(&mut self, task: TaskHandle, clock: &dyn Clock) -> AfterLife {
        self.note(DaemonPhase::Running { task: task.id() });
        let began = clock.steady();
        let outcome = task.wait().await;
        let after = self.patience.ended(&outcome, clock.steady().saturating_sub(began), chance());
        match after {
            AfterLife::Again(_) => self.note(DaemonPhase::Waiting),
            AfterLife::Rest => self.note(DaemonPhase::Stopped),
            AfterLife::GiveUp { lives } => {
                task.shared().note_after(EventBody::DaemonGivenUp { lives }).await;
                let why = format!("it ended {lives} times soon after its start, at last so: {outcome}");
                self.note(DaemonPhase::GivenUp { why });
            }
        }
        after
    }

    async fn not_started(&mut self, error: StartError, clock: &dyn Clock) -> AfterLife {
        let after = match &error {
            StartError::KeyInUse { task } => {
                if let Some(other) = self.inner.registry.by_ref(task) {
                    let (own, other) = (other.version() == self.version.number, TaskHandle::new(other));
                    if own {
                        // The host before this one has left it, or somebody started it by hand: it is this keeper's now.
                        return self.see_end(other, clock).await;
                    }
                    // The version before.
                    other.wait().await;
                    return AfterLife::Again(std::time::Duration::ZERO);
                }
                // One that is being started just now.
                AfterLife::Again(self.patience.not_started(chance()))
            }
            // The daemon of the host before goes on in a moment.
            StartError::KeyAwaitsPlugin { .. } | StartError::QueueFull { .. } | StartError::Store(_) => {
                AfterLife::Again(self.patience.not_started(chance()))
            }
            StartError::KeyAwaitsHost { .. } | StartError::ShuttingDown => AfterLife::Rest,
            StartError::UnknownPlugin { .. }
            | StartError::PluginUnloading { .. }
            | StartError::PluginDisabled { .. }
            | StartError::KeyLikeId
            | StartError::NotRecovered
            | StartError::DaemonKey { .. }
            | StartError::DaemonChild { .. }
            | StartError::UnknownTaskType { .. }
            | StartError::InvalidInput { .. }
            | StartError::InputTooLarge { .. }
            | StartError::TooManyValues { .. }
            | StartError::IdempotencyKeyUsed { .. }
            | StartError::ParentGone { .. }
            | StartError::ParentRefuses { .. }
            | StartError::OutputSchema(_)
            | StartError::Plan(_)
            | StartError::UnknownPlanner { .. }
            | StartError::Permission
            | StartError::Schedule
            | StartError::Details(_)
            | StartError::Attachment(_)
            | StartError::GrantedDir { .. }
            | StartError::GuestPath { .. }
            | StartError::BeyondPolicy { .. }
            | StartError::TooManySignals { .. }
            | StartError::UnknownOnTerminal { .. } => AfterLife::GiveUp { lives: 0 },
        };
        if let AfterLife::GiveUp { .. } = after {
            self.note(DaemonPhase::GivenUp { why: format!("it cannot be started: {error}") });
        }
        after
    }

    fn note(&self, phase: DaemonPhase) {
        self.version.note_daemon(&self.task_type, phase);
    }
}

/// A daemon has its type's name as its key, so that there is one of each, whoever starts it; and no parent.
pub(super) fn set_daemon_key(plugin: Option<&Plugin>, request: &mut StartRequest) -> Result<(), StartError> {
    let task_type = plugin.and_then(|plugin| plugin.manifest().task_type(&request.task_type));
    match task_type.map_or(TaskKind::Task, |task_type| task_type.kind) {
        TaskKind::Task => return Ok(()),
        TaskKind::Daemon => {}
    }
    if request.key.is_none() {
        request.key = daemon_key(&request.task_type);
    }
    see_daemon(request, TaskKind::Daemon)
}

/// Whether a daemon is nobody's child and has its key. Asked again of the version that is started: another one may have
/// come meanwhile, with a daemon where there was a task.
pub(super) fn see_daemon(request: &StartRequest, kind: TaskKind) -> Result<(), StartError> {
    match kind {
        TaskKind::Task => return Ok(()),
        TaskKind::Daemon => {}
    }
    let name = || request.task_type.clone();
    if request.details.parent.is_some() {
        return Err(StartError::DaemonChild { name: name() });
    }
    if request.key != daemon_key(&request.task_type) {
        return Err(StartError::DaemonKey { name: name() });
    }
    Ok(())
}

/// What a daemon is called: after its type.
pub(super) fn daemon_key(task_type: &str) -> Option<TaskKey> {
    // A type's name is fit to be a key.
    TaskKey::new(task_type).ok()
}

impl Actor {
    /// Whether it is a daemon whose plugin was disabled or left while it was started.
    pub(super) fn is_unwanted(&self) -> bool {
        self.shared.kind == TaskKind::Daemon && self.version.standing() != Standing::Enabled
    }
}
