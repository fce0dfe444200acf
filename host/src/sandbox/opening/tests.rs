//! What is opened, and what is not. Everything here would wait for ever if opening waited.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::*;

const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
fn none() -> OpenFlags {
    OpenFlags::empty()
}

fn asked(path: &str, open: OpenFlags, flags: DescriptorFlags) -> OpenAt {
    OpenAt { path_flags: PathFlags::SYMLINK_FOLLOW, path: path.to_owned(), open, flags }
}

#[expect(clippy::disallowed_methods, reason = "tests open directories of their own")]
fn dir(path: &Path) -> File {
    File::open(path).unwrap()
}

#[track_caller]
fn refused<T>(result: FsResult<T>, code: ErrorCode) {
    let Err(error) = result else { panic!("not refused") };
    assert_eq!(error.downcast_ref(), Some(&code));
}

/// Every way to open something that is there, and to make it if it is not.
fn ways(path: &str) -> [OpenAt; 6] {
    [
        asked(path, none(), READ),
        asked(path, none(), WRITE),
        asked(path, none(), READ | WRITE),
        asked(path, none(), DescriptorFlags::empty()),
        asked(path, OpenFlags::TRUNCATE, WRITE),
        asked(path, OpenFlags::CREATE, WRITE),
    ]
}

/// A folder with a file, a directory, and what is neither.
fn folder() -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    rustix::fs::open(at("file"), OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
    rustix::fs::mkdir(at("dir"), Mode::RWXU).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    drop(UnixListener::bind(at("socket")).unwrap());
    symlink("pipe", at("link")).unwrap();
    symlink("file", at("file-link")).unwrap();
    top
}

/// Makes a device that is never at its end, which only root may.
fn made_device(top: &Path) -> bool {
    let made = mknodat(CWD, top.join("device"), FileType::CharacterDevice, Mode::RWXU, makedev(1, 5));
    if made.is_err() {
        eprintln!("skipped: no device can be made here");
    }
    made.is_ok()
}

#[test]
fn t12_pipes_sockets_and_devices_are_refused_at_once() {
    let top = folder();
    let with_device = made_device(top.path());
    for name in ["pipe", "socket", "link", "device"] {
        if name == "device" && !with_device {
            continue;
        }
        for how in ways(name) {
            refused(Opening::new(how, FsPerms::ReadWrite).unwrap().open(&dir(top.path())), ErrorCode::NotPermitted);
        }
        let how = asked(name, OpenFlags::CREATE | OpenFlags::EXCLUSIVE, WRITE);
        refused(Opening::new(how, FsPerms::ReadWrite).unwrap().open(&dir(top.path())), ErrorCode::Exist);
    }
}

#[test]
fn t12_what_took_a_files_place_after_it_was_looked_at_is_refused_at_once() {
    let top = folder();
    let with_device = made_device(top.path());
    for name in ["pipe", "socket", "link", "device"] {
        if name == "device" && !with_device {
            continue;
        }
        for how in ways(name) {
            let opening = Opening::new(how, FsPerms::ReadWrite).unwrap();
            assert!(opening.open_looked_at(&Dir::from_std_file(dir(top.path()))).is_err(), "{name}");
        }
    }
}

#[test]
fn files_and_directories_are_opened_for_what_was_asked() {
    let top = folder();
    let open = |how| Opening::new(how, FsPerms::ReadWrite).unwrap().open(&dir(top.path()));
    let Descriptor::File(file) = open(asked("file-link", none(), READ)).unwrap() else { panic!("no file") };
    assert_eq!(file.open_mode, OpenMode::READ);
    let flags = rustix::fs::fcntl_getfl(&*file.file).unwrap();
    assert!(!flags.intersects(OFlags::NONBLOCK), "{flags:?}");
    let Descriptor::File(file) = open(asked("new", OpenFlags::CREATE, READ)).unwrap() else { panic!("no file") };
    assert_eq!(file.open_mode, OpenMode::READ | OpenMode::WRITE);
    assert!(matches!(open(asked("dir", none(), READ)).unwrap(), Descriptor::Dir(_)));
    assert!(matches!(open(asked("dir/", OpenFlags::DIRECTORY, READ)).unwrap(), Descriptor::Dir(_)));
    refused(open(asked("dir/", none(), WRITE)), ErrorCode::IsDirectory);
    refused(open(asked("file", OpenFlags::DIRECTORY, READ)), ErrorCode::NotDirectory);
    refused(open(asked("file/", none(), READ)), ErrorCode::NotDirectory);
    refused(open(asked("nothing", none(), READ)), ErrorCode::NoEntry);
    let unfollowed = OpenAt { path_flags: PathFlags::empty(), ..asked("file-link", none(), READ) };
    refused(open(unfollowed), ErrorCode::Loop);
}

#[test]
fn t12_a_read_only_folder_gives_nothing_that_can_be_written() {
    for how in [
        asked("file", none(), WRITE),
        asked("file", none(), READ | WRITE),
        asked("file", OpenFlags::TRUNCATE, READ),
        asked("file", OpenFlags::CREATE, READ),
        asked("file", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, READ),
    ] {
        refused(Opening::new(how, FsPerms::ReadOnly), ErrorCode::NotPermitted);
    }
    let opening = Opening::new(asked("file", none(), READ), FsPerms::ReadOnly).unwrap();
    let Descriptor::File(file) = opening.open(&dir(folder().path())).unwrap() else { panic!("no file") };
    assert!(file.perms.write_not_permitted());
}

#[test]
fn what_contradicts_itself_is_refused() {
    for flag in [OpenFlags::CREATE, OpenFlags::EXCLUSIVE, OpenFlags::TRUNCATE] {
        refused(Opening::new(asked("x", OpenFlags::DIRECTORY | flag, READ), FsPerms::ReadWrite), ErrorCode::Invalid);
    }
    for flag in [
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ] {
        refused(Opening::new(asked("x", none(), flag | WRITE), FsPerms::ReadWrite), ErrorCode::Unsupported);
    }
}
