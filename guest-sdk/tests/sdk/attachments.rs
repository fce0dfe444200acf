//! The files that a task gets along.

use taskcell_guest::testing::FakeHost;
use taskcell_guest::{TaskCtl, TaskError, task};

/// Reads what it got along.
#[task]
fn read_all(ctl: &TaskCtl, (): ()) -> Result<Vec<String>, TaskError> {
    let mut texts = Vec::new();
    for file in ctl.info().attachments {
        let text = read(&file.path)?;
        texts.push(format!("{} ({}, {} bytes): {text}", file.name, file.media_type, file.size));
    }
    Ok(texts)
}

#[expect(clippy::disallowed_methods, reason = "this is the guest's side")]
fn read(path: &std::path::Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[test]
fn r47_a_fake_host_gives_files_along() {
    let host = FakeHost::new();
    assert_eq!(host.run(read_all, ()), Ok(Vec::new()));
    host.attach("a.txt", "text/plain", "hello");
    assert_eq!(host.run(read_all, ()), Ok(vec!["a.txt (text/plain, 5 bytes): hello".to_owned()]));
    let sha256 = &host.ctl().info().attachments[0].sha256;
    assert_eq!(sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}
