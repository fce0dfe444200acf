//! Daemons in `taskcell run` and `taskcell inspect`.

use crate::support::guest;

use super::program::Place;

#[test]
fn r6_a_daemon_runs_until_ctrl_c_and_without_a_deadline() {
    let place = Place::new();
    let mut running = place.start("daemon", &["watch", "--allow", "kv", "--grace", "1h"]);
    running.until("watching, life 1");
    running.signal("INT");
    running.end().ends_with(130).says("it ended by itself");
}

#[test]
fn r6_another_task_of_the_plugin_starts_no_daemon() {
    let place = Place::new();
    let done = place.run("daemon", &["greet"]).ends_with(0);
    assert_eq!(done.json(), "hello");
    assert!(!done.stderr.contains("watching") && !done.stderr.contains("churning"), "{done:?}");
}

#[test]
fn r1_inspect_shows_kinds_and_promises_and_what_a_type_asks_for() {
    let place = Place::new();
    let file = guest("daemon");
    let page = place.taskcell(&["inspect", file.to_str().unwrap()]).ends_with(0).stdout;
    assert!(page.contains("daemon, started with its plugin; read-only; can be begun again"), "{page}");
    assert!(page.contains("kv (only watch): to count its lives"), "{page}");
    let document = place.taskcell(&["inspect", file.to_str().unwrap(), "--json"]).ends_with(0).json();
    let watch = &document["manifest"]["tasks"][0];
    assert_eq!((&watch["kind"], &watch["read_only"]), (&"daemon".into(), &true.into()));
    assert_eq!(document["grants"][0]["task"], "watch");
    assert!(document["manifest"]["tasks"][2].get("kind").is_none());
}
