//! `plugin`: the server's plugins.

use super::serving::Serving;
use crate::cli::program::text;
use crate::support::{files, guest};

#[test]
fn r36_plugins_come_and_go() {
    let serving = Serving::new();
    let hello = guest("hello");
    serving.say(&["plugin", "add", text(&hello)]).ends_with(0).says("added hello ");
    serving.say(&["plugin", "add", text(&hello)]).ends_with(0);
    let other = guest("hello-wasip1");
    serving.say(&["plugin", "add", text(&other)]).ends_with(4).says("taskcell plugin replace");
    let list = serving.say(&["plugin", "list"]).ends_with(0);
    assert!(
        list.stdout.contains("hello") && list.stdout.contains("fixture") && list.stdout.contains("enabled"),
        "{list:?}"
    );
    let shown = serving.say(&["plugin", "show", "hello", "--json"]).ends_with(0).json();
    assert!(shown["manifest"]["tasks"][0]["name"].is_string(), "{shown}");
    assert!(serving.say(&["plugin", "show", "hello"]).ends_with(0).stdout.contains("sha256"));
    serving.say(&["plugin", "disable", "hello"]).ends_with(0).says("disabled hello");
    serving.say(&["start", "hello"]).ends_with(4).says("taskcell plugin enable hello");
    serving.say(&["plugin", "enable", "hello"]).ends_with(0).says("enabled hello");
    serving.say(&["start", "hello", "--wait"]).ends_with(0);
    serving.say(&["plugin", "replace", "hello", text(&hello)]).ends_with(0).says("is there now");
    serving.say(&["plugin", "remove", "hello", "--mode", "force"]).ends_with(0).says("removed hello");
    serving.say(&["plugin", "show", "hello"]).ends_with(4);
    serving.say(&["plugin", "remove", "hello"]).ends_with(4);
}

#[test]
fn t23_whoever_adds_a_version_that_is_granted_nothing_is_told_what_to_decide() {
    let rules = |digest: &str| format!("version = 1\n[plugins.fetch]\ndigest = \"{digest}\"\n");
    let serving = Serving::prepared(&["--policy", "p.toml"], |place| {
        place.file("p.toml", &rules(&"0".repeat(64)));
    });
    let fetch = guest("fetch");
    let added = serving.say(&["plugin", "add", text(&fetch), "--data", "d"]).ends_with(0).says("for other bytes");
    let shown = serving.say(&["plugin", "show", "fetch", "--json"]).ends_with(0).json();
    let digest = shown["digest"].as_str().unwrap();
    let added = added.says(&format!("digest = \"sha256:{digest}\"")).says("[plugins.fetch]");
    added.says(&format!("taskcell policy suggest {}", text(&fetch))).says("`taskcell policy reload --data d`");
    assert!(shown["granted_nothing"].as_str().unwrap().contains(&"0".repeat(64)), "{shown}");
    serving.say(&["plugin", "replace", "fetch", text(&fetch)]).ends_with(0).says("for other bytes");
    serving.place.file("p.toml", &rules(&format!("sha256:{digest}")));
    serving.say(&["policy", "reload", "--data", "d"]).ends_with(0);
    let page = serving.say(&["plugin", "show", "fetch"]).ends_with(0);
    assert!(!page.stdout.contains("other bytes"), "{page:?}");
    // Nothing is said of one without rules that asks for nothing.
    let hello = serving.say(&["plugin", "add", text(&guest("hello"))]).ends_with(0);
    assert!(!hello.stderr.contains("policy"), "{hello:?}");
}

#[test]
fn r36_a_plugin_that_names_itself_may_lie_in_a_file_of_any_name() {
    let serving = Serving::new();
    for name in ["word_count.wasm", "X.wasm", "hello-0.1.wasm", "2.wasm"] {
        files::write(serving.place.path().join(name), files::read(guest("hello")));
        serving.say(&["plugin", "add", name]).ends_with(0).says("added hello ");
    }
}

#[test]
fn a_plugin_that_is_none_is_told() {
    let serving = Serving::new();
    serving.place.file("text.wasm", "hello");
    serving.say(&["plugin", "add", "text.wasm"]).ends_with(3).says("taskcell inspect text.wasm");
    serving.say(&["plugin", "add", "missing.wasm"]).ends_with(3).says("failed to read missing.wasm");
    serving.say(&["plugin", "remove", "fixture", "--mode", "force", "--time", "5s"]).ends_with(2);
    serving.say(&["plugin", "replace", "nobody", text(&guest("fixture"))]).ends_with(4);
    serving.say(&["plugin"]).ends_with(2);
}
