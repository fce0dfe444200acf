//! The scratch directory: gone with the program, unless it is to be kept, and swept after one that was killed.

use std::path::PathBuf;

use super::program::{Done, Place, Running, finish};
use crate::support::files::{names, read};

/// Runs a task that leaves a file in its scratch directory, with a folder of its own for temporary files.
fn leaves(place: &Place, then: &str, flags: &[&str]) -> Done {
    let mut command = place.run_command("fixture", &["leave-file", "--set", &format!("then={then}")]);
    command.args(flags).env("TMPDIR", temporary(place));
    finish(command, "")
}

fn temporary(place: &Place) -> PathBuf {
    place.file("tmp/keep", "");
    place.path().join("tmp")
}

#[test]
fn r39_the_scratch_directory_is_kept_when_that_is_asked_for_and_said_where() {
    for (then, flags, code, kept) in [
        ("return", &["--keep-scratch"] as &[&str], 0, true),
        ("return", &["--keep-scratch=on-failure"], 0, false),
        ("fail", &["--keep-scratch=on-failure"], 1, true),
        ("fail", &[], 1, false),
    ] {
        let place = Place::new();
        let done = leaves(&place, then, flags).ends_with(code);
        let mut left = names(temporary(&place));
        left.retain(|name| name != "keep");
        assert_eq!(left.len(), usize::from(kept), "{then} {flags:?}: {left:?}");
        if let Some(name) = left.first() {
            let dir = temporary(&place).join(name);
            assert_eq!(read(dir.join("left")), b"behind");
            done.says(&format!("kept | the scratch directory is {}", dir.display()));
        }
    }
}

#[test]
fn r39_what_a_killed_program_left_is_swept_by_the_next() {
    let place = Place::new();
    let mut command = place.run_command("fixture", &["leave-file", "--set", "then=sleep"]);
    command.env("TMPDIR", temporary(&place));
    let mut killed = Running::start(command);
    killed.until("left a file");
    assert_eq!(names(temporary(&place)).len(), 2);
    killed.signal("KILL");
    killed.end();
    assert_eq!(names(temporary(&place)).len(), 2, "nobody could remove it");
    leaves(&place, "return", &[]).ends_with(0);
    assert_eq!(names(temporary(&place)), ["keep"]);
}
