//! T12: paths that should lead out of a granted folder, or change one that may be read only. By the standard library's
//! functions and by WASI's own, with `openat2` and without it.

mod jail;
mod tricks;

use serde_json::{Value, json};
use taskcell::{Access, Grants, Host};

use crate::support::alone::alone;
use crate::support::files::{names, write};
use crate::support::seccomp::{block_openat2, has_openat2};
use crate::support::task::{data, outcome, start_as};
use crate::support::{fixture, request};

use self::jail::{Jail, SECRET};
use self::tricks::{Trial, changing, leading_out};

const HANDS: [&str; 2] = ["std", "wasi"];

async fn tried(host: &Host, jail: &Jail, hand: &str, access: Access, tricks: &[Value]) -> Vec<Value> {
    let input = json!({"hand": hand, "folder": "/data", "tricks": tricks});
    let grants = Grants::default().dir(jail.folder(), "/data", access);
    let told = data(outcome(&start_as(host, request("path-tricks", input).grants(grants)).await).await);
    told.as_array().unwrap().clone()
}

/// What is wrong with what came of a trial.
fn faults(jail: &Jail, access: Access, trial: &Trial, told: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    if told.len() != trial.steps.len() {
        faults.push("not every step was taken".to_owned());
    }
    let names = jail.names();
    for told in told {
        let seen = told["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
        faults.extend(seen.filter(|name| !names.contains(*name)).map(|name| format!("it saw the name {name}")));
        if told.to_string().contains(SECRET) {
            faults.push("it read the secret".to_owned());
        }
        if trial.refused && told["error"].is_null() {
            faults.push(format!("it was not refused: {told}"));
        }
    }
    let changed = jail.changed(access == Access::Read);
    faults.extend(changed.into_iter().map(|path| format!("it changed {}", path.display())));
    faults
}

/// Tries everything, each time in a folder of its own.
async fn no_trick_works(host: &Host) {
    let cases = [(Access::ReadWrite, leading_out()), (Access::Read, leading_out()), (Access::Read, changing())];
    let mut found = Vec::new();
    for (access, trials) in cases {
        for trial in &trials {
            for hand in HANDS {
                let jail = Jail::new();
                let told = tried(host, &jail, hand, access, &trial.steps).await;
                let faults = faults(&jail, access, trial, &told);
                found.extend(faults.iter().map(|fault| format!("{access:?}, {hand}, {:?}: {fault}", trial.steps)));
            }
        }
    }
    assert!(found.is_empty(), "{} ways:\n{}", found.len(), found.join("\n"));
}

/// What is allowed works, by the same steps: else nothing above would mean much.
async fn what_is_granted_works(host: &Host) {
    let steps = [
        json!({"do": "read", "path": "inlink"}),
        json!({"do": "list", "path": "sub/../sub"}),
        json!({"do": "append", "path": "in.txt"}),
        json!({"do": "read", "path": "in.txt"}),
        json!({"do": "set-times", "path": "in.txt"}),
        json!({"do": "rename", "from": "in.txt", "to": "sub/in.txt"}),
        json!({"do": "hard-link", "from": "sub/in.txt", "to": "linked"}),
        json!({"do": "point", "target": "sub", "path": "pointer"}),
        json!({"do": "truncate", "path": "pointer/in.txt"}),
        json!({"do": "write", "path": "new.txt"}),
        json!({"do": "make-dir", "path": "new"}),
        json!({"do": "remove-tree", "path": "sub"}),
        json!({"do": "remove", "path": "linked"}),
    ];
    for hand in HANDS {
        let jail = Jail::new();
        let mut told = tried(host, &jail, hand, Access::ReadWrite, &steps).await;
        let mut names: Vec<_> = told[1]["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["deep", "in.txt"]);
        told.remove(1);
        let (text, done) = (|text: &str| json!({"text": text}), json!({}));
        let mut expected = vec![done; steps.len() - 1];
        (expected[0], expected[2]) = (text("deeper"), text("insideplanted"));
        assert_eq!(told, expected, "{hand}");
        assert!(!jail.changed(true).is_empty() && jail.changed(false).is_empty());
    }
}

#[tokio::test]
async fn t12_no_path_leads_out_of_a_granted_folder() {
    if !has_openat2() {
        eprintln!("this system has no openat2: seen is only how it is without");
    }
    let (host, _) = fixture().await;
    what_is_granted_works(&host).await;
    no_trick_works(&host).await;
}

#[test]
fn t12_no_path_leads_out_where_openat2_is_blocked() {
    alone(|| async {
        block_openat2();
        let (host, _) = fixture().await;
        what_is_granted_works(&host).await;
        no_trick_works(&host).await;
    });
}

#[tokio::test]
async fn t12_nothing_moves_between_a_folder_that_may_be_read_only_and_another() {
    let (host, _) = fixture().await;
    let step = |what: &str, from: &str, to: &str| json!({"do": what, "from": from, "to": to});
    for step in [
        step("hard-link", "/data/in.txt", "/out/linked"),
        step("hard-link", "/out/own", "/data/linked"),
        step("rename", "/data/in.txt", "/out/moved"),
        step("rename", "/data/sub", "/out/sub"),
        step("rename", "/out/own", "/data/moved"),
        step("rename", "/out/own", "/data/in.txt"),
    ] {
        // On one disk, where all of it works when both may be written to.
        for (access, works) in [(Access::Read, false), (Access::ReadWrite, true)] {
            let (jail, out) = (Jail::new(), tempfile::tempdir().unwrap());
            write(out.path().join("own"), "own");
            let grants = Grants::default().dir(jail.folder(), "/data", access);
            let grants = grants.dir(out.path(), "/out", Access::ReadWrite);
            let input = json!({"hand": "std", "folder": "/data", "tricks": [&step]});
            let told = data(outcome(&start_as(&host, request("path-tricks", input).grants(grants)).await).await);
            assert_eq!(told[0]["error"].is_null(), works, "{step}: {told}");
            assert_eq!(!jail.changed(true).is_empty(), works, "{step}");
            assert!(works || names(out.path()) == ["own"], "{step}");
        }
    }
}

#[tokio::test]
async fn t12_what_changes_outside_is_noticed() {
    let (host, _) = fixture().await;
    for step in [
        json!({"do": "write", "path": "outside/secret"}),
        json!({"do": "append", "path": "outside/secret"}),
        json!({"do": "set-times", "path": "outside/secret"}),
        json!({"do": "make-dir", "path": "outside/dir/new"}),
        json!({"do": "hard-link", "from": "outside/secret", "to": "jail/linked"}),
        json!({"do": "read", "path": "outside/secret"}),
        json!({"do": "list", "path": "outside"}),
    ] {
        let jail = Jail::new();
        let input = json!({"hand": "wasi", "folder": "/data", "tricks": [&step]});
        let grants = Grants::default().dir(jail.folder().parent().unwrap(), "/data", Access::ReadWrite);
        let told = data(outcome(&start_as(&host, request("path-tricks", input).grants(grants)).await).await);
        let trial = Trial { steps: vec![step], refused: false };
        let faults = faults(&jail, Access::ReadWrite, &trial, told.as_array().unwrap());
        assert!(!faults.is_empty(), "{:?}: {told}", trial.steps);
    }
}
