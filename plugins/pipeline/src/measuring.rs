//! The step `measure`: a child task for each file, a few at a time, and the task that the children are.
#![expect(clippy::disallowed_methods, reason = "a plugin's disk is what its host granted")]

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use taskcell_guest::{Child, TaskCtl, TaskEnd, TaskError, TaskOptions, task};

use crate::steps::Step;

/// How many children run at once.
pub(crate) const AT_ONCE: usize = 4;

/// Bytes of a file that is measured: it is read as a whole.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Lines between two looks whether the task shall stop.
const LINES_BETWEEN_LOOKS: usize = 4096;
/// Characters of a child's title: any so many are few enough bytes for one.
const TITLE_CHARS_MAX: usize = 64;

#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct File {
    /// The folder, as the plugin sees it.
    pub(crate) folder: String,
    /// The file, relative to the folder.
    pub(crate) file: String,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Measured {
    /// The file, relative to the folder.
    pub(crate) file: String,
    /// What stands between white space.
    pub(crate) words: u64,
    pub(crate) lines: u64,
    /// The characters of the longest line.
    pub(crate) longest_line: u64,
    /// The SHA-256 of its bytes, 64 lower-case hex digits.
    pub(crate) sha256: String,
}

/// A file that could not be measured.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Unmeasured {
    pub(crate) file: String,
    /// Why.
    pub(crate) reason: String,
}

/// Measures one file of text: its words, its lines, the longest of them, and its SHA-256.
#[task]
pub(crate) fn measure(ctl: &TaskCtl, input: File) -> Result<Measured, TaskError> {
    let File { folder, file } = input;
    ctl.report_progress(format!("reading {file}"), 0)?;
    let text = read(&Path::new(&folder).join(&file))?;
    let total = text.lines().count();
    let sha256 = hex::encode(Sha256::digest(text.as_bytes()));
    let mut measured = Measured { file, words: 0, lines: 0, longest_line: 0, sha256 };
    for (number, line) in text.lines().enumerate() {
        if number % LINES_BETWEEN_LOOKS == 0 {
            ctl.checkpoint()?;
            ctl.report_progress(format!("line {} of {total}", number + 1), share(number, total, 100))?;
        }
        measured.lines += 1;
        measured.words += line.split_whitespace().count() as u64;
        measured.longest_line = measured.longest_line.max(line.chars().count() as u64);
    }
    ctl.set_summary(format!("{} words in {} lines", measured.words, measured.lines));
    Ok(measured)
}

fn read(path: &Path) -> Result<String, TaskError> {
    let size = fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        return Err(TaskError::new(format!("the file has {size} bytes; at most {FILE_BYTES_MAX} are read")));
    }
    String::from_utf8(fs::read(path)?).map_err(|_| TaskError::new("the file is not UTF-8 text"))
}

/// Measures all files, in children: what they found, and which of them could not, in the order of the files.
pub(crate) fn all(
    ctl: &TaskCtl,
    folder: &str,
    files: &[String],
) -> Result<(Vec<Measured>, Vec<Unmeasured>), TaskError> {
    let (mut measured, mut unmeasured) = (Vec::new(), Vec::new());
    let mut running: VecDeque<(&String, Child)> = VecDeque::new();
    let mut waiting = files.iter();
    for done in 0..files.len() {
        for file in waiting.by_ref().take(AT_ONCE - running.len()) {
            running.push_back((file, start(ctl, folder, file)?));
        }
        // The one that runs longest is the likeliest to have ended.
        let Some((file, child)) = running.pop_front() else { break };
        // A cancel ends the wait, and the host asks the children to stop.
        let end = ctl.wait_task(&child)?;
        if matches!(end, TaskEnd::Succeeded { .. }) {
            measured.push(end.data::<Measured>()?);
        } else {
            unmeasured.push(Unmeasured { file: file.clone(), reason: why_not(end) });
        }
        let (from, to) = (Step::Measure.percent(), Step::Review.percent());
        let percent = from + share(done + 1, files.len(), to - from);
        ctl.report_progress(format!("{} of {} files measured", done + 1, files.len()), percent)?;
    }
    Ok((measured, unmeasured))
}

/// Why a child did not measure its file. Somebody who stops one child wants the report without that file.
fn why_not(end: TaskEnd) -> String {
    if let TaskEnd::Failed { message, .. } = end {
        return message;
    }
    end.data::<Measured>().err().map(|error| error.message().to_owned()).unwrap_or_default()
}

fn start(ctl: &TaskCtl, folder: &str, file: &str) -> Result<Child, TaskError> {
    // So that the children together never have more than half of what is left.
    let fuel = ctl.fuel_remaining() / (2 * AT_ONCE as u64);
    // A file's name is whatever somebody called it, and a title is one line.
    let title: String = file.chars().map(|c| if c.is_control() { '?' } else { c }).take(TITLE_CHARS_MAX).collect();
    let input = File { folder: folder.to_owned(), file: file.to_owned() };
    Ok(ctl.start_task("measure", &input, TaskOptions::new().title(title).limit("fuel", fuel))?)
}

fn share(part: usize, whole: usize, of: u8) -> u8 {
    u8::try_from(part * usize::from(of) / whole.max(1)).unwrap_or(of)
}
