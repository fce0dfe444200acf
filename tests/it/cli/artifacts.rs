//! Files that a task publishes: saved safely, never over another.

use super::program::Place;

fn attach<'a>(name: &'a str, content: &'a str) -> [String; 7] {
    ["attach", "--set", &format!("name={name}"), "--set", "media_type=text/plain", "--set", &format!("text={content}")]
        .map(str::to_owned)
}

fn save(place: &Place, name: &str, content: &str, extra: &[&str]) -> super::program::Done {
    let attach = attach(name, content);
    let arguments: Vec<&str> = attach.iter().map(String::as_str).chain(extra.iter().copied()).collect();
    place.fixture(&arguments)
}

#[test]
fn files_are_saved_and_never_overwritten() {
    let place = Place::new();
    save(&place, "report.md", "one", &["--artifacts", "out/deep"])
        .ends_with(0)
        .says("saved out/deep/report.md (3 bytes)");
    save(&place, "report.md", "two", &["--artifacts", "out/deep"]).ends_with(0).says("saved out/deep/report-1.md");
    assert_eq!(place.read("out/deep/report.md"), "one");
    assert_eq!(place.read("out/deep/report-1.md"), "two");
}

#[test]
fn without_a_folder_the_id_names_one() {
    let place = Place::new();
    let document = save(&place, "a.txt", "x", &["--json"]).ends_with(0).json();
    let folder = &document["id"].as_str().unwrap()[..8];
    assert_eq!(document["artifacts"][0]["path"], format!("taskcell-artifacts/{folder}/a.txt"));
    assert_eq!(place.read(format!("taskcell-artifacts/{folder}/a.txt")), "x");
}

#[test]
fn a_run_without_files_makes_no_folder() {
    let place = Place::new();
    place.run("hello", &["--artifacts", "out"]).ends_with(0);
    assert_eq!(place.path().read_dir().unwrap().count(), 0);
}

#[test]
fn no_name_leads_out_of_the_folder_or_hides() {
    let place = Place::new();
    for (number, name) in
        ["../escaped", "/tmp/absolute", ".hidden", "a\u{1b}[31mb\u{202e}", "..", "x/../../y"].into_iter().enumerate()
    {
        let folder = format!("out{number}");
        // The host may refuse a name; then there is nothing to save.
        let done = save(&place, name, "content", &["--artifacts", &folder]).ends_with(0);
        assert!(!done.stderr.contains('\u{1b}') && !done.stderr.contains('\u{202e}'), "{done:?}");
        for entry in place.path().join(&folder).read_dir().into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.') && !name.contains(|c: char| c.is_control() || c == '\u{202e}'), "{name:?}");
        }
    }
    for entry in place.path().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with("out"), "{name} is outside");
    }
}

#[test]
fn a_file_that_cannot_be_saved_is_an_error_after_the_result() {
    let place = Place::new();
    place.file("out", "in the way");
    let done = save(&place, "a.txt", "x", &["--artifacts", "out"]).ends_with(70);
    let done = done.says("failed to save the artifact a.txt in out").says("--artifacts");
    assert!(!done.stdout.is_empty(), "the result is there all the same: {done:?}");
}
