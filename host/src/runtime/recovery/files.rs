//! The files of tasks that were found, and of those that nobody knows any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::ids::TaskId;

use super::super::host::Inner;
use super::found::Found;

impl Inner {
    /// Sweeps what belongs to nobody, and returns the bytes of the scratch directories that were kept. `aside`: tasks that
    /// cannot be read, with the places of their attachments.
    pub(super) async fn see_to_files(
        &self,
        found: &[Found],
        aside: &HashMap<TaskId, Option<u64>>,
    ) -> HashMap<TaskId, u64> {
        let dirs = Arc::clone(&self.around.dirs);
        if !dirs.is_kept() {
            return HashMap::new();
        }
        let known: HashSet<TaskId> = found.iter().map(|found| found.id).chain(aside.keys().copied()).collect();
        let all = found.iter().filter_map(|found| found.papers.as_ref()?.attachments);
        for place in all.chain(aside.values().copied().flatten()) {
            dirs.attachments_belong(place);
        }
        let goes_on = found.iter().filter(|found| found.state.outcome.is_none());
        let places = goes_on.filter_map(|found| found.papers.as_ref()?.attachments);
        let places: HashSet<u64> = places.chain(aside.values().copied().flatten()).collect();
        let keeps = found.iter().filter(|found| {
            let policy = found.state.details.scratch.unwrap_or_default();
            found.state.outcome.is_some() && policy.keeps(found.state.outcome.as_deref())
        });
        let keeps: Vec<(TaskId, u64)> = keeps.map(|found| (found.id, found.state.limits.scratch_bytes)).collect();
        let sorted = tokio::task::spawn_blocking(move || {
            for (id, _) in &keeps {
                dirs.keep_left_scratch(*id);
            }
            dirs.keep_only(&known, &places);
            keeps.into_iter().filter_map(|(id, max)| Some((id, dirs.kept_bytes(id, max)?))).collect()
        });
        // The host is shutting down when it cannot be run.
        sorted.await.unwrap_or_default()
    }

    /// Removes what was swept, which may take long.
    pub(super) fn empty_trash(&self) {
        let dirs = Arc::clone(&self.around.dirs);
        if dirs.is_kept() {
            self.spawn(Box::pin(async move {
                let _ = tokio::task::spawn_blocking(move || dirs.empty_trash()).await;
            }));
        }
    }
}
