//! The step `review`: asks whether the report may be published, and with which of the files.

use serde::Deserialize;
use serde_json::json;
use taskcell_guest::{Approval, TaskCtl, TaskError};

use crate::measuring::{Measured, Unmeasured};

/// The kind of the question, as `--approve` and `--deny` name it.
pub(crate) const KIND: &str = "publish";

/// What an approver may say instead of a plain yes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Files that shall not be in the report.
    drop: Vec<String>,
}

/// Asks, and returns what may be published. No yes is an error, and the task has failed.
pub(crate) fn ask(
    ctl: &TaskCtl,
    measured: Vec<Measured>,
    unmeasured: &[Unmeasured],
) -> Result<Vec<Measured>, TaskError> {
    let words: u64 = measured.iter().map(|file| file.words).sum();
    let files: Vec<&str> = measured.iter().map(|file| file.file.as_str()).collect();
    let without = if unmeasured.is_empty() { String::new() } else { format!(", without {}", unmeasured.len()) };
    let question =
        Approval::new(KIND, format!("publish a report of {} files with {words} words{without}", files.len()))
            .reason("whoever gets the report sees the names of the files")
            .metadata(json!({ "files": files, "words": words, "unmeasured": unmeasured }));
    let Some(change) = ctl.request_approval(question)?.granted()? else {
        return Ok(measured);
    };
    let Change { drop } = serde_json::from_value(change).map_err(|error| {
        TaskError::new(format!("the approval brings a change that is not {{\"drop\": [FILE, …]}}: {error}"))
    })?;
    if let Some(unknown) = drop.iter().find(|name| !files.contains(&name.as_str())) {
        // Somebody meant a file that would be published now.
        return Err(TaskError::new(format!("the approval drops `{unknown}`, which is none of the files")));
    }
    let kept: Vec<Measured> = measured.into_iter().filter(|file| !drop.contains(&file.file)).collect();
    if kept.is_empty() { Err(TaskError::new("the approval drops every file: nothing to report")) } else { Ok(kept) }
}
