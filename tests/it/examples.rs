//! The examples of the library, run as a newcomer would.

use assert_cmd::Command;

use crate::support::{example, guest};

/// What an example prints, given a plugin and lines to read.
fn printed(name: &str, plugin: &str, said: &str) -> String {
    let run = Command::new(example(name)).arg(guest(plugin)).write_stdin(said).assert().success();
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

#[test]
fn embedding_says_what_it_does_and_how_it_ended() {
    let printed = printed("embedding", "hello", "");
    assert!(printed.starts_with("… greeting Ada\n"), "{printed}");
    assert!(printed.contains("Hello, Ada!"), "{printed}");
}

#[test]
fn r32_on_terminal_is_called_for_both_tasks_of_one_key() {
    let printed = printed("on_terminal", "hello", "");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines[0].ends_with("greeting Ada") && lines[1].ends_with("greeting Grace"), "{printed}");
}

#[test]
fn r7_host_functions_are_called_by_whom_they_were_granted_to() {
    let printed = printed("host_functions", "invoice", "");
    let (with, without) = printed.split_once("without it: ").unwrap();
    assert!(with.contains("50.00 euros"), "{printed}");
    assert!(without.contains("`host:price`"), "{printed}");
}

#[test]
fn r26_approvals_go_on_after_a_yes_and_fail_after_a_no() {
    let yes = printed("approvals", "invoice", "y\n");
    assert!(yes.starts_with("The task wants to send Ada an invoice of 294.00 euros. May it? "), "{yes}");
    assert!(yes.contains("succeeded"), "{yes}");
    let no = printed("approvals", "invoice", "ask Grace first\n");
    assert!(no.contains("ask Grace first") && no.contains("failed"), "{no}");
}

#[test]
fn r52_an_agents_loop_answers_each_call_once_and_goes_on_when_asked() {
    let folder = guest("crunch");
    let run = Command::new(example("agent_loop")).arg(folder.parent().unwrap()).assert().success();
    let printed = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    let answers = |call: &str| printed.lines().filter(|line| line.starts_with(&format!("answer | {call}:"))).count();
    assert_eq!(["call-1", "call-2", "call-3", "call-4"].map(answers), [1; 4], "{printed}");
    for line in [
        " asked | send Ada an invoice of 294.00 euros? yes",
        "answer | call-2: it takes long, and goes on in the background",
        "  note | call-2: succeeded: ",
        "answer | call-3: approval/publish [news] goes on in the background",
        "  mail | Task news: you should decide about \"16252325 primes\".",
        "  note | call-3: succeeded: approved",
    ] {
        assert_eq!(printed.lines().filter(|printed| printed.starts_with(line)).count(), 1, "{line:?} in {printed}");
    }
}
