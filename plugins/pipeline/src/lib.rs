//! An example plugin: a task with children, a question in the middle, and files at the end.
//!
//! `build` lists the files of a folder, measures each in a child task of its own, asks whether the report may be published,
//! and attaches it as a page and as JSON.
//!
//! - `steps` names the four steps; `scan`, `measuring`, `review` and `publish` are one each;
//! - this file is the task: what it takes, what it gives, and in which order things happen.

mod measuring;
mod publish;
mod review;
mod scan;
mod steps;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

use measuring::{Unmeasured, measure};
use publish::Report;
use steps::Step;

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Input {
    /// The folder to report, as the plugin sees it: what stands after `::` in `--dir HOST::/docs`.
    folder: String,
}

impl Default for Input {
    fn default() -> Self {
        Self { folder: "/docs".to_owned() }
    }
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// How many files are in the report.
    files: usize,
    /// How many words they have.
    words: u64,
    /// How many files the approver dropped.
    dropped: usize,
    /// The files that could not be measured.
    unmeasured: Vec<Unmeasured>,
    /// The names of the artifacts.
    published: Vec<String>,
}

/// Measures every file of a folder in a child task, four at a time, and publishes a report after a yes. The approver may
/// drop files with `{"drop": ["a.md"]}`.
#[task]
fn build(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError> {
    let Input { folder } = input;

    Step::plan(ctl, &folder)?;
    let files = scan::files(ctl, &folder)?;

    Step::Measure.begin(ctl, &format!("{} files", files.len()), &format!("measuring {} files", files.len()))?;
    let (measured, unmeasured) = measuring::all(ctl, &folder, &files)?;
    if measured.is_empty() {
        return Err(TaskError::new(format!("no file in {folder} could be measured")).with_details(unmeasured));
    }

    let note = format!("{} measured, {} not", measured.len(), unmeasured.len());
    Step::Review.begin(ctl, &note, "waiting for a yes to the report")?;
    let found = measured.len();
    let kept = review::ask(ctl, measured, &unmeasured)?;

    Step::Publish.begin(ctl, &format!("yes, to {} of {found} files", kept.len()), "writing the report")?;
    let published = publish::both(ctl, &Report { folder: &folder, files: &kept, unmeasured: &unmeasured })?;
    let words = kept.iter().map(|file| file.words).sum();
    let done = format!("a report of {} files with {words} words is published", kept.len());
    ctl.notify_agent(format!("{done}: {}", published.join(", ")), false)?;
    Step::finish(ctl, &done)?;
    ctl.set_summary(done);
    Ok(Output { files: kept.len(), words, dropped: found - kept.len(), unmeasured, published })
}

plugin! {
    name: "pipeline",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Measures the files of a folder, a child task for each, and publishes a report after a yes.",
    requests: ["dir-read" => "the folder to report"],
    tasks: [build, measure],
}
