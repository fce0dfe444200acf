//! Ctrl-C and SIGTERM, once and twice.

use super::program::Place;

#[test]
fn t35_one_ctrl_c_lets_a_polite_task_end_by_itself() {
    let place = Place::new();
    let mut running = place.start("fixture", &["polite", "--grace", "1h"]);
    running.until("going round");
    running.signal("INT");
    running.end().ends_with(130).says("Ctrl-C: the task has 1h to end by itself").says("it ended by itself");
}

#[test]
fn when_the_grace_is_over_a_busy_loop_is_stopped_where_it_is() {
    let place = Place::new();
    let mut running = place.start("fixture", &["spin", "--grace", "50ms"]);
    running.until("going round");
    running.signal("INT");
    running.end().ends_with(130).says("cancelled by a person (Ctrl-C)").says("by force");
}

#[test]
fn t35_a_second_ctrl_c_does_not_wait_for_the_grace() {
    let place = Place::new();
    let mut running = place.start("fixture", &["spin", "--grace", "1h"]);
    running.until("going round");
    running.signal("INT");
    running.until("once more stops it at once");
    running.signal("INT");
    running.end().ends_with(130).says("Ctrl-C again").says("by force");
}

#[test]
fn t35_sigterm_does_the_same() {
    let place = Place::new();
    let mut running = place.start("fixture", &["spin", "--grace", "0s"]);
    running.until("going round");
    running.signal("TERM");
    running.end().ends_with(130).says("cancelled by a person (SIGTERM)").says("by force");
}

#[test]
fn a_task_that_succeeds_within_its_grace_has_succeeded() {
    let place = Place::new();
    let mut running = place.start("fixture", &["stubborn-success", "--grace", "1h"]);
    running.until("going round");
    running.signal("INT");
    let done = running.end().ends_with(0).says("succeeded");
    assert!(!done.stdout.is_empty(), "{done:?}");
}

#[test]
fn a_waiting_task_ends_its_wait() {
    let place = Place::new();
    let mut running = place.start("fixture", &["wait", "--set", "key=go", "--grace", "1h"]);
    running.until("waits for the signal `go`");
    running.signal("INT");
    assert_eq!(running.end().ends_with(0).json()["result"], "cancelled");
}

#[test]
fn nothing_is_left_behind_in_the_folder_for_temporary_files() {
    let place = Place::new();
    place.file("tmp/keep", "");
    let mut command = place.run_command("fixture", &["spin", "--grace", "0s"]);
    command.env("TMPDIR", place.path().join("tmp"));
    let mut running = super::program::Running::start(command);
    running.until("going round");
    running.signal("INT");
    running.end().ends_with(130);
    assert_eq!(place.path().join("tmp").read_dir().unwrap().count(), 1);
}
