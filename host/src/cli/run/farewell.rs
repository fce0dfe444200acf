//! How the host of `taskcell run` is left: in memory everything ends with it, and in a directory it stays for the next one.

use std::time::Duration;

use crate::{Clock as _, EventBody, Host, Plugin, Subscription, SystemClock, TaskFilter, TaskHandle, TaskHook, TaskId};

/// How long the plugin's hook about the end is waited for: more than it may take. When nobody can write down that it was
/// called, the next host calls it.
const HOOK_MAX: Duration = Duration::from_secs(75);

/// What is to be waited for before the host is left.
#[derive(Debug)]
pub(super) struct Farewell {
    /// What happens in the host; `None` when it is in memory.
    happens: Option<Subscription>,
    /// The task of whose end its plugin is told.
    told_of: Option<TaskId>,
}

impl Farewell {
    /// Before the task is started.
    pub(super) fn of(host: &Host, is_kept: bool) -> Self {
        Self { happens: is_kept.then(|| host.subscribe(TaskFilter::default())), told_of: None }
    }

    /// The task was started.
    pub(super) fn about(&mut self, plugin: &Plugin, task: &TaskHandle) {
        self.told_of = plugin.hooks().task.then(|| task.id());
    }

    /// Leaves the host. Cancel safety: then it is left as it is.
    pub(super) async fn say(self, host: &Host) {
        let Some(happens) = self.happens else { return host.shutdown().await };
        if let Some(task) = self.told_of.and_then(|task| host.task(task)) {
            task.wait().await;
            let clock = SystemClock::new();
            tokio::select! {
                () = hook_called(happens, task.id()) => {}
                // The next host calls it then.
                () = clock.sleep_until(clock.steady().saturating_add(HOOK_MAX)) => {}
            }
            task.gone().await;
        }
        host.suspend().await;
    }
}

async fn hook_called(mut happens: Subscription, task: TaskId) {
    loop {
        match happens.next().await {
            Ok(None) => return,
            Ok(Some(happened)) if happened.of.id == task => {
                if let EventBody::HookDone { hook: TaskHook::OnTerminal, .. } = &happened.event.body {
                    return;
                }
            }
            // What went by is older than what comes last.
            Ok(Some(_)) | Err(_) => {}
        }
    }
}
