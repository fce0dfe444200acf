//! `schedule`: tasks that are started at their times.

use serde_json::json;

use super::serving::Serving;

#[test]
fn r19_a_schedule_is_added_fired_and_removed() {
    let serving = Serving::new();
    serving.say(&["schedule", "list"]).ends_with(0).says("there are no schedules");
    let nightly =
        ["schedule", "add", "nightly", "fixture", "echo", "--every", "30 2 * * *", "--zone", "UTC", "--set", "a=1"];
    let id = serving.say(&nightly).ends_with(0).says("added nightly; next: in ").stdout.trim_end().to_owned();
    serving.say(&nightly).ends_with(4);
    let list = serving.say(&["schedule", "list"]).ends_with(0);
    assert!(list.stdout.contains("30 2 * * * (UTC)") && list.stdout.contains(&id[..8]), "{list:?}");
    assert!(serving.say(&["schedule", "show", "nightly"]).ends_with(0).stdout.contains(r#"{"a":1}"#));
    serving.say(&["schedule", "pause", "nightly"]).ends_with(0).says("paused nightly");
    serving.say(&["schedule", "resume", &id[..6]]).ends_with(0).says("goes on");
    let fired = serving.say(&["schedule", "fire", "nightly"]).ends_with(0).stdout.trim_end().to_owned();
    assert_eq!(serving.say(&["wait", &fired]).ends_with(0).json(), json!({"a": 1}));
    serving.say(&["schedule", "remove", "nightly"]).ends_with(0).says("removed nightly");
    serving.say(&["schedule", "remove", "nightly"]).ends_with(4).says("there is no schedule `nightly`");
}

#[test]
fn r19_a_schedule_that_cannot_be_is_told() {
    let serving = Serving::new();
    let add = ["schedule", "add", "x", "fixture", "echo"];
    let say = |more: &[&str]| serving.say(&[&add[..], more].concat());
    say(&[]).ends_with(2).says("--every '30 2 * * *'");
    say(&["--every", "soon"]).ends_with(4);
    say(&["--every", "@daily", "--zone", "Nowhere/Land"]).ends_with(4);
    say(&["--every", "@daily", "--after", "5m"]).ends_with(2);
    say(&["--after", "5"]).ends_with(2).says("30s, 5m or 1h30m");
    say(&["--after", "1h", "--json"]).ends_with(0);
}
