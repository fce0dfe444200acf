//! The step `publish`: writes the report as a page and as JSON, and attaches both.
#![expect(clippy::disallowed_methods, reason = "the scratch directory is the task's own")]

use std::fmt::Write as _;
use std::fs;

use serde::Serialize;
use taskcell_guest::{TaskCtl, TaskError};

use crate::measuring::{Measured, Unmeasured};

/// The files, and what they are.
const PAGE: (&str, &str) = ("report.html", "text/html");
const DATA: (&str, &str) = ("report.json", "application/json");

/// What the report says.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) folder: &'a str,
    pub(crate) files: &'a [Measured],
    pub(crate) unmeasured: &'a [Unmeasured],
}

/// Writes both files and attaches them: their names.
pub(crate) fn both(ctl: &TaskCtl, report: &Report<'_>) -> Result<Vec<String>, TaskError> {
    let data = serde_json::to_string_pretty(report)
        .map_err(|error| TaskError::new(format!("the report cannot be written as JSON: {error}")))?;
    let mut names = Vec::new();
    for ((name, media_type), content) in [(PAGE, page(report)), (DATA, data)] {
        ctl.checkpoint()?;
        let path = ctl.info().scratch.join(name);
        fs::write(&path, content)?;
        ctl.attach(name, media_type, &path)?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// The report as a page that needs nothing else.
fn page(report: &Report<'_>) -> String {
    let folder = text(report.folder);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Report of {folder}</title>\n\
         <h1>Report of {folder}</h1>\n<table>\n\
         <tr><th>File<th>Words<th>Lines<th>Longest line<th>SHA-256</tr>\n"
    );
    for file in report.files {
        let Measured { file, words, lines, longest_line, sha256 } = file;
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{words}<td>{lines}<td>{longest_line}<td><code>{}</code></tr>",
            text(file),
            text(sha256)
        );
    }
    page.push_str("</table>\n");
    if !report.unmeasured.is_empty() {
        page.push_str("<h2>Not measured</h2>\n<ul>\n");
        for Unmeasured { file, reason } in report.unmeasured {
            let _ = writeln!(page, "<li>{}: {}</li>", text(file), text(reason));
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</html>\n");
    page
}

/// As it may stand in a page: a file's name is whatever somebody called it.
fn text(plain: &str) -> String {
    let mut safe = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}
