//! A server of the fixture guest's tasks, and the verbs that are said to it.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use crate::cli::program::{Done, Place, Running, finish};
use crate::support::guest;

/// A server in a folder of its own.
pub(super) struct Serving {
    pub(super) place: Place,
    _server: Running,
}

impl Serving {
    pub(super) fn new() -> Self {
        Self::prepared(&[], |_| {})
    }

    /// One with these arguments more, in a folder that was prepared so.
    pub(super) fn prepared(more: &[&str], prepare: impl FnOnce(&Place)) -> Self {
        let place = Place::new();
        prepare(&place);
        let server = serve_with(&place, more);
        Self { place, _server: server }
    }

    /// A verb that is not said yet.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        with_data(&self.place, arguments)
    }

    /// Says a verb.
    pub(super) fn say(&self, arguments: &[&str]) -> Done {
        say(&self.place, arguments)
    }

    /// Starts a task of the fixture guest; its id.
    pub(super) fn start(&self, task: &str, more: &[&str]) -> String {
        let done = self.say(&[&["start", "fixture", task], more].concat()).ends_with(0);
        let id = done.stdout.trim_end().to_owned();
        assert!(id.len() == 32 && done.stdout.ends_with('\n'), "{done:?}");
        id
    }

    /// What is known of a task.
    pub(super) fn show(&self, id: &str) -> Value {
        self.say(&["show", id, "--json"]).ends_with(0).json()
    }

    /// Looks at a task until it is as wanted.
    pub(super) fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) {
        let mut looks = 0;
        while !wanted(&self.show(id)) {
            looks += 1;
            assert!(looks < 2000, "{}", self.show(id));
        }
    }
}

/// Starts the server on the folder `d`.
pub(in crate::cli) fn serve(place: &Place) -> Running {
    serve_with(place, &[])
}

fn serve_with(place: &Place, more: &[&str]) -> Running {
    let mut command = place.command(&["serve", "--data", "d", "--plugin"]);
    command.arg(guest("fixture")).args(more);
    let mut server = Running::start(command);
    server.until("listening on");
    server
}

/// A command that finds its server by the variable.
pub(in crate::cli) fn with_data(place: &Place, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = place.command(&[]);
    command.args(arguments).env("TASKCELL_DATA", place.path().join("d"));
    command
}

/// Says a verb to the server on the folder `d`.
pub(in crate::cli) fn say(place: &Place, arguments: &[impl AsRef<OsStr>]) -> Done {
    finish(with_data(place, arguments), "")
}
