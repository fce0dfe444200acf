//! The same to several tasks: each is done, whatever becomes of the others.

use serde_json::Value;

use crate::TaskId;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::output;

use super::which;

/// What became of one of them.
#[derive(Debug)]
pub(super) struct Answer {
    /// For a person.
    pub(super) line: String,
    /// What stands below it, indented: none of it is a line of the program's own.
    pub(super) below: Vec<String>,
    /// For a program: what stands beside the id.
    pub(super) fields: Value,
}

impl Answer {
    /// One of a single line.
    pub(super) fn new(line: impl Into<String>, fields: Value) -> Self {
        Self { line: line.into(), below: Vec::new(), fields }
    }
}

/// Does something to each task, one after the other. The first that it cannot be done to decides the code; the others are
/// done all the same.
pub(super) async fn each(
    ids: &[TaskId],
    json: bool,
    act: impl AsyncFn(TaskId) -> Result<Answer, Fault>,
) -> Result<Exit, Fault> {
    let mut exit = Exit::Succeeded;
    for id in ids {
        match act(*id).await {
            Ok(Answer { line, below, .. }) if !json => {
                output::talk(&format!("{}: {line}", which::short(*id)));
                for line in &below {
                    output::talk(&format!("  {line}"));
                }
            }
            Ok(Answer { fields, .. }) => output::json(&with_id(*id, fields), false).map_err(Fault::stdout)?,
            Err(fault) if ids.len() == 1 => return Err(fault),
            Err(fault) => {
                for line in fault.lines() {
                    output::talk(&format!("{}: {line}", which::short(*id)));
                }
                if exit == Exit::Succeeded {
                    exit = fault.exit();
                }
            }
        }
    }
    Ok(exit)
}

fn with_id(id: TaskId, fields: Value) -> Value {
    let mut document = serde_json::Map::from_iter([("id".to_owned(), id.to_string().into())]);
    if let Value::Object(fields) = fields {
        document.extend(fields);
    }
    document.into()
}
