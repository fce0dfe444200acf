//! An example plugin: reads a folder of text, finds what each document is about, and publishes a report if somebody
//! says yes.
//!
//! - `walk` finds and reads the files, and remembers what it left out and why;
//! - `words` and `index` weigh the words (TF-IDF), `report` writes the Markdown;
//! - `approval` asks, and takes everything that is not a yes for a no;
//! - this file is the task: what it takes, what it gives, and in which order things happen.

mod approval;
mod index;
mod report;
#[cfg(test)]
mod tests;
mod walk;
mod words;

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

use crate::{
    approval::{Approval, Decision},
    index::Index,
    report::Report,
    walk::{Found, Reason, Skipped},
    words::Language,
};

/// The name under which the report is published.
const REPORT: &str = "report.md";

/// How many terms the result names.
const TOP_TERMS: usize = 10;

/// Percent of the work that is done when all files are read.
const READ: usize = 90;

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Input {
    /// The folder to read, as the plugin sees it: what stands after `::` in `--dir HOST::/docs`.
    folder: String,
    /// How many keywords each document gets.
    #[schemars(range(min = 1, max = 50))]
    keywords: usize,
    /// Which files to read, by the end of their names, with or without the dot.
    extensions: Vec<String>,
    /// Seconds to wait for the signal `approval`; then the report is not published. They begin anew after an answer that
    /// does not count. Without them the task waits until its deadline.
    approval_timeout_s: Option<u64>,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            folder: "/docs".to_owned(),
            keywords: 8,
            extensions: ["md", "txt", "rs", "wit", "toml"].map(str::to_owned).to_vec(),
            approval_timeout_s: None,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// How many documents were read.
    documents: usize,
    /// How many words they have.
    words: u64,
    /// How many different terms are among them. Forms of a word are one term; small words are none.
    terms: usize,
    /// How many files and folders were left out, by reason.
    skipped: BTreeMap<Reason, usize>,
    /// The terms that matter most in all documents together.
    top_terms: Vec<String>,
    report: ReportFile,
    /// Whether the report is now an artifact of the task.
    published: bool,
    approval: Approval,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ReportFile {
    /// The artifact's name, if it was published.
    name: String,
    /// Its size in bytes.
    bytes: usize,
}

/// Reads a folder of text, builds a keyword index and a Markdown report, and publishes the report as an artifact once
/// the signal `approval` says `true` or `{"approved": true}`.
///
/// The payload may carry a `comment`. If the answer is no, or none comes in time, the task succeeds all the same, with
/// `published: false` and the comment, and the report goes away with the scratch directory.
#[task]
fn digest(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError> {
    let Input { folder, keywords, extensions, approval_timeout_s } = input;
    let extensions = normalized(&extensions);

    ctl.report_progress(format!("looking for text in {folder}"), 0)?;
    let found = walk::find(Path::new(&folder), &extensions).map_err(|error| not_granted(&folder, &error))?;
    let (index, skipped) = read_all(ctl, Path::new(&folder), found)?;
    if index.is_empty() {
        return Err(nothing_to_read(&folder, &extensions, &skipped));
    }
    let digest = index.finish(keywords);
    let report = Report { folder: &folder, digest: &digest, skipped: &skipped };
    let text = report.to_string();
    let path = ctl.info().scratch.join(REPORT);
    #[expect(clippy::disallowed_methods, reason = "the scratch directory is the task's own")]
    fs::write(&path, &text)?;

    ctl.report_progress("waiting for approval", 95)?;
    let question = format!("May the report be published? {} Answer with the signal `approval`.", report.summary());
    ctl.notify_agent(question, true)?;
    let approval = approval::wait(ctl, approval_timeout_s.map(Duration::from_secs))?;
    let published = approval.decision == Decision::Approved;
    if published {
        ctl.attach(REPORT, "text/markdown", &path)?;
    }
    ctl.report_progress(approval.outcome(), 100)?;

    Ok(Output {
        documents: digest.documents.len(),
        words: digest.words,
        terms: digest.terms,
        skipped: count(&skipped),
        top_terms: digest.entries.iter().take(TOP_TERMS).map(|entry| entry.term.clone()).collect(),
        report: ReportFile { name: REPORT.to_owned(), bytes: text.len() },
        published,
        approval,
    })
}

plugin! {
    name: "digest",
    version: env!("CARGO_PKG_VERSION"),
    description: "Turns a folder of text into a keyword index and a report.",
    requests: ["dir-read" => "the folder to read"],
    tasks: [digest],
}

/// The extensions as `walk` wants them, however they were written: `.MD` is `md`.
fn normalized(extensions: &[String]) -> Vec<String> {
    extensions.iter().map(|it| it.trim_start_matches('.').to_lowercase()).collect()
}

/// Reads one file after the other into an index. This is the long part, so here the task says how far it is, and stops
/// if it shall.
fn read_all(ctl: &TaskCtl, folder: &Path, found: Found) -> Result<(Index, Skipped), TaskError> {
    let Found { files, mut skipped } = found;
    let mut index = Index::new(Language::english());
    for (done, file) in files.iter().enumerate() {
        ctl.checkpoint()?;
        let percent = u8::try_from(done * READ / files.len()).ok();
        ctl.report_progress(format!("reading {}", file.display()), percent)?;
        match walk::read(&folder.join(file)) {
            Ok(text) => index.add(file.display().to_string(), &text),
            Err(reason) => walk::skip(&mut skipped, reason, file),
        }
    }
    Ok((index, skipped))
}

/// The folder is missing, or the operator has not granted it: from inside a sandbox that is the same, and even the
/// error's number depends on the guest's libc.
fn not_granted(folder: &str, error: &io::Error) -> TaskError {
    TaskError::new(format!(
        "failed to read the folder {folder}: {error}. Grant it with `--dir HOST::{folder}`, where HOST is the folder on your \
         machine; or name a granted one in `folder`"
    ))
}

fn nothing_to_read(folder: &str, extensions: &[String], skipped: &Skipped) -> TaskError {
    let extensions = extensions.join(", ");
    TaskError::new(format!("there is nothing to read in {folder}; looked for files of type {extensions}"))
        .with_details(BTreeMap::from([("skipped", count(skipped))]))
}

fn count(skipped: &Skipped) -> BTreeMap<Reason, usize> {
    skipped.iter().map(|(reason, paths)| (*reason, paths.len())).collect()
}
