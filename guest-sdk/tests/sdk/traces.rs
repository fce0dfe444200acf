//! What a task leaves behind: progress, log, messages, output, files.

use std::thread;

use taskcell_guest::testing::{AgentMessage, FakeHost, Progress};
use taskcell_guest::{Delivery, RefusalKind, TaskCtl};

#[test]
fn progress_is_kept_and_over_a_hundred_is_refused() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    ctl.report_progress("who knows", None).unwrap();
    ctl.report_progress("half", 50).unwrap();
    let refused = ctl.report_progress("too much", 101).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::InvalidArgument);
    let expected = [
        Progress { message: "who knows".to_owned(), percent: None, restarted: false },
        Progress { message: "half".to_owned(), percent: Some(50), restarted: false },
    ];
    assert_eq!(host.progress(), expected);
}

#[test]
fn log_lines_reach_the_host_of_their_own_thread() {
    let chatty = |_: &TaskCtl, word: String| {
        log::info!(target: "part", "{word}");
        log::trace!("small");
        Ok(())
    };
    let run = |word: &'static str| {
        let host = FakeHost::new();
        host.run(chatty, word.to_owned()).unwrap();
        host.logs()
    };
    let other = thread::scope(|scope| {
        let other = scope.spawn(|| run("there"));
        let here = run("here");
        assert_eq!(here.len(), 2);
        assert_eq!(
            (here[0].level, here[0].target.as_str(), here[0].message.as_str()),
            (log::Level::Info, "part", "here")
        );
        other.join().unwrap()
    });
    assert_eq!(other[0].message, "there");
}

#[test]
fn messages_and_output_are_kept() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    assert_eq!(ctl.notify_agent("look at this", true), Ok(Delivery::Accepted));
    ctl.write_stdout("out").unwrap();
    ctl.write_stderr([0xFF]).unwrap();
    assert_eq!(host.messages(), [AgentMessage { message: "look at this".to_owned(), trigger: true }]);
    assert_eq!((host.stdout(), host.stderr()), (b"out".to_vec(), vec![0xFF]));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a task writes to its scratch directory")]
fn a_file_of_the_scratch_directory_can_be_attached() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let path = ctl.info().scratch.join("a.txt");
    std::fs::write(&path, "abc").unwrap();
    let artifact = ctl.attach("report", "text/plain", &path).unwrap();
    std::fs::write(&path, "changed afterwards").unwrap();
    assert_eq!(artifact.size, 3);
    assert_eq!(artifact.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let attached = host.artifacts().remove(0);
    assert_eq!((attached.name.as_str(), attached.content.as_slice()), ("report", b"abc".as_slice()));
}

#[test]
fn what_cannot_be_attached_is_refused() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let scratch = ctl.info().scratch;
    let cases = [
        ("", "a", RefusalKind::InvalidArgument),
        ("a/b", "a", RefusalKind::InvalidArgument),
        ("a", "../a", RefusalKind::InvalidArgument),
        ("a", "/etc/hostname", RefusalKind::InvalidArgument),
        ("a", "missing", RefusalKind::NotFound),
    ];
    for (name, path, kind) in cases {
        let refused = ctl.attach(name, "text/plain", scratch.join(path)).unwrap_err();
        assert_eq!(refused.kind, kind, "{name:?} {path:?}");
    }
}

#[test]
fn the_scratch_directory_goes_away_with_the_host() {
    let host = FakeHost::new();
    let scratch = host.ctl().info().scratch;
    assert!(scratch.is_dir());
    drop(host);
    assert!(!scratch.exists());
}
