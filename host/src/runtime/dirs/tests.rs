//! Tests of a directory of a host that keeps nothing.

use std::io::ErrorKind;

use super::*;

#[test]
fn f25_a_directory_of_any_depth_is_removed() {
    let dirs = HostDirs::new(None).unwrap();
    let id = TaskId::from_random(7);
    let scratch = dirs.scratch(id);
    let mut dir = scratch.open().unwrap().try_clone().unwrap();
    for _ in 0..5_000 {
        dir.create_dir("d").unwrap();
        dir.write("f", b"x").unwrap();
        dir = dir.open_dir("d").unwrap();
    }
    drop(dir);
    assert!(scratch.close());
    dirs.remove_scratch(&scratch, id).unwrap();
    assert_eq!(dirs.dir.read_dir("scratch").unwrap().count(), 0);
    assert_eq!(dirs.dir.read_dir("trash").unwrap().count(), 0);
}

#[test]
fn f25_what_is_made_while_a_tree_is_removed_goes_too() {
    let dirs = HostDirs::new(None).unwrap();
    let flat = Path::new("trash").join("7");
    dirs.dir.create_dir_all(&flat).unwrap();
    dirs.dir.create_dir_all("scratch/s/d").unwrap();
    dirs.dir.write("scratch/s/f", b"x").unwrap();
    let mut trash = Trash::new(&dirs.dir, &flat);
    trash.take(Path::new("scratch/s"));
    let mut late = 0;
    trash.empty(|path| {
        late += 1;
        if late <= 4 {
            dirs.dir.write(path.join("late"), b"x").unwrap();
            dirs.dir.create_dir(path.join("late directory")).unwrap();
        }
    });
    assert!(trash.error.is_none(), "{:?}", trash.error);
    assert_eq!(dirs.dir.read_dir(&flat).unwrap().count(), 0);
    assert!(late > 4, "{late}");
}

#[test]
fn f25_what_cannot_be_removed_is_told_and_left() {
    let dirs = HostDirs::new(None).unwrap();
    let flat = Path::new("trash").join("7");
    dirs.dir.create_dir_all(&flat).unwrap();
    dirs.dir.create_dir_all("scratch/s").unwrap();
    let mut trash = Trash::new(&dirs.dir, &flat);
    trash.take(Path::new("scratch/s"));
    trash.empty(|path| dirs.dir.write(path.join("late"), b"x").unwrap());
    assert_eq!(trash.error.map(|error| error.kind()), Some(ErrorKind::DirectoryNotEmpty));
}

#[test]
fn r39_a_kept_directory_is_found_counted_and_goes_with_its_task() {
    let dirs = HostDirs::new(None).unwrap();
    let (id, unused) = (TaskId::from_random(7), TaskId::from_random(8));
    let scratch = dirs.scratch(id);
    scratch.open().unwrap().create_dir_all("a/b").unwrap();
    scratch.open().unwrap().write("a/b/f", b"12345").unwrap();
    scratch.open().unwrap().symlink("/etc/passwd", "link").unwrap_err();
    scratch.open().unwrap().symlink("a/b/f", "link").unwrap();
    assert!(scratch.close());
    let link = "a/b/f".len() as u64;
    assert_eq!(dirs.keep_scratch(&scratch, id, 1000).unwrap(), Some(5 + link), "a link's own size, and not its file's");
    assert_eq!(dirs.dir.read(kept_dir(id).join("a/b/f")).unwrap(), b"12345");
    assert!(dirs.kept_path(id).is_dir() && dirs.has_files(id));
    let never = dirs.scratch(unused);
    never.close();
    assert_eq!(dirs.keep_scratch(&never, unused, 1000).unwrap(), None);
    assert!(!dirs.has_files(unused));
    dirs.remove_files(id);
    assert!(!dirs.kept_path(id).exists() && !dirs.has_files(id));
}

#[test]
fn r39_a_kept_directory_that_cannot_be_looked_at_counts_as_full() {
    let dirs = HostDirs::new(None).unwrap();
    let id = TaskId::from_random(7);
    let scratch = dirs.scratch(id);
    let name = "d".repeat(200);
    let mut dir = scratch.open().unwrap().try_clone().unwrap();
    for _ in 0..30 {
        dir.create_dir(&name).unwrap();
        dir = dir.open_dir(&name).unwrap();
    }
    dir.write("f", b"12345").unwrap();
    assert!(scratch.close());
    assert_eq!(dirs.keep_scratch(&scratch, id, 1000).unwrap(), Some(1000));
    dirs.remove_files(id);
    assert!(!dirs.kept_path(id).exists());
}

#[test]
fn r39_nobody_else_looks_into_a_hosts_directory() {
    let dirs = HostDirs::new(None).unwrap();
    assert_eq!(dirs.root.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

/// What a host leaves behind that is killed: everything but its hold on it.
fn killed(parent: &Path) -> PathBuf {
    let HostDirs { root, .. } = HostDirs::new(Some(parent)).unwrap();
    let Root::Temporary { dir, .. } = root else { unreachable!() };
    dir.keep()
}

#[test]
fn r39_what_nobody_owns_any_more_is_swept_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let gone = killed(parent.path());
    let top = Dir::open_ambient_dir(&gone, cap_std::ambient_authority()).unwrap();
    top.create_dir_all("scratch/7/a/b").unwrap();
    top.write("kept/f", b"x").unwrap();
    top.create_dir("attachments/0").unwrap();
    top.write("attachments/0/f", b"x").unwrap();
    top.create_dir_all("trash/5/1").unwrap();
    let beside = Dir::open_ambient_dir(parent.path(), cap_std::ambient_authority()).unwrap();
    // Somebody else's, with a name like ours, and one that is just being made.
    for other in ["taskcell-notes", "taskcell-new", "other"] {
        beside.create_dir(other).unwrap();
    }
    beside.write("taskcell-notes/owner.txt", b"x").unwrap();
    beside.write("taskcell-file", b"x").unwrap();
    let living = HostDirs::new(Some(parent.path())).unwrap();
    let next = HostDirs::new(Some(parent.path())).unwrap();
    next.abandoned().unwrap().remove();
    assert!(!gone.exists());
    for stays in ["taskcell-notes", "taskcell-new", "other", "taskcell-file"] {
        assert!(beside.exists(stays), "{stays}");
    }
    assert!(living.root.path().exists() && next.root.path().exists());
}

#[test]
fn r39_a_directory_that_others_can_enter_is_not_swept() {
    let parent = tempfile::tempdir().unwrap();
    let gone = killed(parent.path());
    let beside = Dir::open_ambient_dir(parent.path(), cap_std::ambient_authority()).unwrap();
    let name = gone.file_name().unwrap();
    let open = cap_std::fs::PermissionsExt::from_mode(0o755);
    beside.set_permissions(name, open).unwrap();
    let next = HostDirs::new(Some(parent.path())).unwrap();
    next.abandoned().unwrap().remove();
    assert!(gone.exists());
    // A link to one is none.
    let closed = cap_std::fs::PermissionsExt::from_mode(0o700);
    beside.set_permissions(name, closed).unwrap();
    beside.rename(name, &beside, "elsewhere").unwrap();
    beside.symlink("elsewhere", "taskcell-link").unwrap();
    next.abandoned().unwrap().remove();
    assert!(beside.exists("elsewhere/owner"));
}
