//! The tricks, as data: steps for the guest's `path-tricks`, and whether each of them must be an error.

use serde_json::{Value, json};

/// Steps that are taken one after the other.
pub(super) struct Trial {
    pub(super) steps: Vec<Value>,
    /// Every step must be an error. Else it may also do something inside of the folder, as when a link itself is moved.
    pub(super) refused: bool,
}

const READ: &[&str] = &[
    "../outside/secret",
    "sub/../../outside/secret",
    "abs/secret",
    "rel/secret",
    "relslash/secret",
    "seclink",
    "seclink/",
    "seclink/.",
    "seclinkslash",
    "seclinkslash/",
    "procroot/etc/hostname",
    "up/outside/secret",
    "up/jail/../outside/secret",
    "/etc/hostname",
    "//etc/hostname",
    "sub/./.././../outside/secret",
    "loop",
    "loop/",
    "./abs/secret",
    "sub/deep/../../../outside/secret",
    "reldir/../secret",
    "abs/",
    "abs/.",
    "rel/",
    "rel/.",
    "rel/dir/..",
    "in.txt\0.png",
];

const LIST: &[&str] = &[
    "abs",
    "abs/",
    "abs/.",
    "rel",
    "rel/",
    "rel/.",
    "relslash",
    "relslash/",
    "reldir",
    "reldir/",
    "up",
    "up/",
    "up/.",
    "..",
    "../",
    "./..",
    "procroot",
    "procroot/",
    "procroot/.",
    "dangling/",
    "sub/deep/../../..",
];

const MAKE_DIR: &[&str] = &[
    "dangling",
    "dangling/",
    "rel/new1",
    "rel/new1/",
    "abs/new2",
    "../outside/new3",
    "up/outside/new4",
    "reldir/x/",
    "relslash/new5/",
];

const WRITE: &[&str] = &["seclink", "seclink/", "rel/w", "abs/w", "../outside/w", "dangling", "dangling/"];

/// Opened for writing with truncate, for appending, for its times.
const CHANGE: &[&str] = &["seclink", "seclink/", "rel/secret", "up/outside/secret"];

const RENAME: &[(&str, &str)] = &[
    ("rel/", "moved"),
    ("reldir/", "moved2"),
    ("abs/", "moved3"),
    ("rel/secret", "stolen"),
    ("sub/in.txt", "rel/planted"),
    ("sub/in.txt", "reldir/"),
    ("sub", "relslash/"),
    ("sub/deep", "dangling/"),
    ("up/outside/secret", "stolen2"),
    ("seclink/", "stolen3"),
];

const HARD_LINK: &[(&str, &str)] = &[
    ("rel/secret", "hl1"),
    ("seclink", "hl2"),
    ("seclink/", "hl3"),
    ("sub/in.txt", "rel/hl4"),
    ("sub/in.txt", "dangling"),
];

/// Where a link leads, and where it is made.
const POINT: &[(&str, &str)] = &[("/etc", "sl_abs"), ("../../outside", "sub/sl_up")];

const REMOVE_TREE: &[&str] = &["rel/dir", "reldir/", "rel/secret", "abs/dir", "."];

/// Files of the grant itself, for a grant that may be read only.
const OWN: &[&str] = &["in.txt", "sub/in.txt", "inlink"];

fn step(what: &str, path: &str) -> Value {
    json!({"do": what, "path": path})
}

fn pair(what: &str, from: &str, to: &str) -> Value {
    json!({"do": what, "from": from, "to": to})
}

fn refused(steps: Vec<Value>) -> Trial {
    Trial { steps, refused: true }
}

/// Uses what a trick should not have made, in every way there is.
fn then_use(first: Value, made: &str) -> Trial {
    let inner = format!("{made}/secret");
    let uses = ["read", "list", "truncate", "append", "set-times"].into_iter();
    let uses = uses.flat_map(|what| [step(what, made), step(what, &inner)]);
    Trial { steps: std::iter::once(first).chain(uses).collect(), refused: false }
}

/// The tricks that lead out of a folder.
pub(super) fn leading_out() -> Vec<Trial> {
    let each =
        |what: &'static str, paths: &'static [&str]| paths.iter().map(move |path| refused(vec![step(what, path)]));
    let mut trials: Vec<Trial> = each("read", READ).chain(each("list", LIST)).collect();
    trials.extend(each("make-dir", MAKE_DIR).chain(each("write", WRITE)));
    trials.extend(["truncate", "append", "set-times"].into_iter().flat_map(|what| each(what, CHANGE)));
    trials.extend(RENAME.iter().map(|(from, to)| then_use(pair("rename", from, to), to)));
    trials.extend(HARD_LINK.iter().map(|(from, to)| then_use(pair("hard-link", from, to), to)));
    trials.extend(
        POINT.iter().map(|(target, path)| then_use(json!({"do": "point", "target": target, "path": path}), path)),
    );
    let trees = REMOVE_TREE.iter().map(|path| Trial { steps: vec![step("remove-tree", path)], refused: false });
    trials.extend(trees);
    trials
}

/// What changes a folder itself.
pub(super) fn changing() -> Vec<Trial> {
    let mut trials = Vec::new();
    for path in OWN {
        for what in ["write", "truncate", "append", "set-times"] {
            trials.push(refused(vec![step(what, path)]));
        }
        trials.push(refused(vec![step("remove", path)]));
        trials.push(refused(vec![pair("rename", path, "moved")]));
        trials.push(refused(vec![pair("hard-link", path, "linked")]));
    }
    trials.extend([
        refused(vec![pair("rename", "in.txt", "sub/in.txt")]),
        refused(vec![pair("rename", "sub", "moved")]),
        refused(vec![pair("hard-link", "in.txt", "sub/linked")]),
        refused(vec![json!({"do": "point", "target": "in.txt", "path": "sub/pointer"})]),
        refused(vec![step("write", "new.txt")]),
        refused(vec![step("make-dir", "new")]),
        refused(vec![step("remove-tree", "sub/deep")]),
        refused(vec![step("set-times", "sub")]),
        refused(vec![step("set-times", ".")]),
    ]);
    trials
}
