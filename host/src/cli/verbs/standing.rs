//! How a task stands, in words.

use crate::cli::text;
use crate::{OutcomeKind, Phase, Progress, TaskSummary};

/// What a list says of it.
pub(super) fn of(task: &TaskSummary) -> String {
    match (&task.end, task.phase) {
        (Some(OutcomeKind::Succeeded), _) => "✓ succeeded".to_owned(),
        (Some(OutcomeKind::Failed { kind, .. }), _) if kind.word() == "guest" => "✗ failed".to_owned(),
        (Some(OutcomeKind::Failed { kind, .. }), _) => format!("✗ failed ({})", kind.word()),
        (Some(OutcomeKind::Cancelled { forced: false, .. }), _) => "✗ cancelled".to_owned(),
        (Some(OutcomeKind::Cancelled { forced: true, .. }), _) => "✗ cancelled by force".to_owned(),
        (None, _) if task.awaits_plugin.is_some() => "waits for its plugin".to_owned(),
        (None, Phase::Held) => "held: asks for approval".to_owned(),
        (None, Phase::Delayed) => "delayed".to_owned(),
        (None, Phase::Queued) => "queued".to_owned(),
        (None, Phase::Running) if task.open_approvals > 0 => "asks for approval".to_owned(),
        (None, Phase::Running) => "running".to_owned(),
        (None, Phase::Ended) => "ended".to_owned(),
    }
}

/// What it reported last; of its message so many bytes.
pub(super) fn progress(progress: &Progress, bytes_max: usize) -> String {
    let percent = progress.percent.map(|percent| format!("{percent}%"));
    let eta = progress.eta.map(|eta| format!("{} left", text::about(eta)));
    let message = Some(text::clip(&progress.message, bytes_max)).filter(|message| !message.is_empty());
    [percent, eta, message].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}
