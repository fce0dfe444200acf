//! Answers for always, written into the policy's file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::cli::files;
use crate::{AlwaysAllowed, HostBuilder};

/// Lets a host write into this file what somebody allows always.
pub(in crate::cli) fn kept_in(builder: HostBuilder, file: &Path) -> HostBuilder {
    builder.policy_writer(writer(file.to_owned()))
}

/// One answer after the other, each into the file as it is then: two at once would lose one of them.
fn writer(file: PathBuf) -> impl Fn(&AlwaysAllowed) -> io::Result<()> + Send + Sync + 'static {
    let turn = Mutex::new(());
    move |answer| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let text = files::read_text(&file)?;
        let written = answer.written_into(&text).map_err(io::Error::other)?;
        if written == text { Ok(()) } else { files::replace_text(&file, &written) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    use crate::model::grants::touch::Touch;
    use crate::{Party, Timestamp};

    const TEXT: &str =
        "# mine\nversion = 1\n[plugins.a]\ndigest = \"any\"\n[plugins.a.ask]\nkv = true\ntasks = [\"*\"]\n";

    fn answer(touch: Touch) -> AlwaysAllowed {
        AlwaysAllowed::new("a", touch, Party::Person, Timestamp(1_924_362_000_000))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files")]
    fn t23_an_answer_for_always_is_written_in_the_place_of_the_file_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("p.toml"), dir.path().join("link.toml"));
        std::fs::write(&file, TEXT).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let write = writer(link.clone());
        write(&answer(Touch::Kv)).unwrap();
        for _ in 0..2 {
            write(&answer(Touch::Tasks("b".to_owned()))).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# mine\n") && text.contains("kv = true"), "{text}");
        assert_eq!(text.matches("# 2030-12-24T17:00:00Z: a person was asked about tasks b").count(), 1, "{text}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "the link stays one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
        assert!(write(&answer(Touch::Signal)).is_err(), "nothing asks about it");
        std::fs::remove_file(&file).unwrap();
        assert!(write(&answer(Touch::Kv)).is_err());
        assert!(!file.exists(), "a policy that is gone is not made anew");
    }
}
