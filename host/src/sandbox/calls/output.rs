//! `taskcell:plugin/output`.

use std::path::{Component, Path, PathBuf};

use crate::model::grants::SCRATCH;
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::snapshot::Artifact;
use crate::ports::hooks::no_task;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::taskcell::plugin::{output, types};
use crate::sandbox::cell::CellData;
use crate::sandbox::stdio::make_room;

impl CellData {
    async fn attach_file(&mut self, name: String, media_type: String, path: &str) -> Result<Artifact, Refusal> {
        if self.info.task().is_none() {
            return Err(no_task());
        }
        let invalid = |message: String| Refusal::new(RefusalKind::InvalidArgument, message);
        check_name(&name).map_err(|fault| invalid(format!("an artifact's name {fault}")))?;
        if media_type.len() > 255 || !media_type.is_ascii() || media_type.chars().any(char::is_control) {
            return Err(invalid("a media type is at most 255 printable ASCII characters".to_owned()));
        }
        let path = scratch_path(path).ok_or_else(|| invalid(format!("only files under {SCRATCH} can be attached")))?;
        let scratch = self.info.scratch.clone();
        let scratch = scratch.ok_or_else(|| invalid("there is no scratch directory here".to_owned()))?;
        // A file system may be slow, and this runs on the guest's stack.
        let opened = tokio::task::spawn_blocking(move || {
            let dir = scratch.open().map_err(|error| Refusal::new(RefusalKind::Host, error.to_string()))?;
            open_regular(&dir, &path)
        });
        let opened = opened.await;
        let source = opened.map_err(|error| Refusal::new(RefusalKind::Host, error.to_string()))??;
        self.link.request(|reply| GuestCall::Attach { name, media_type, source, reply }).await
    }
}

/// Opens a file without waiting on it, so that a pipe cannot hold the host up, and only if it is a plain file.
fn open_regular(dir: &cap_std::fs::Dir, path: &Path) -> Result<cap_std::fs::File, Refusal> {
    let not_found =
        |error: std::io::Error| Refusal::new(RefusalKind::NotFound, format!("the file cannot be opened: {error}"));
    if !dir.metadata(path).map_err(not_found)?.is_file() {
        return Err(Refusal::new(RefusalKind::InvalidArgument, "only a plain file can be attached"));
    }
    dir.open(path).map_err(not_found)
}

/// The path below the scratch directory, or `None` when it points elsewhere. cap-std holds the line in any case; this
/// is for a clear answer.
pub(crate) fn scratch_path(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let inside = if path.is_absolute() { path.strip_prefix(SCRATCH).ok()? } else { path };
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (plain && !inside.as_os_str().is_empty()).then(|| inside.to_owned())
}

/// Whether an artifact can be called so.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 255 {
        Err("has 1 to 255 bytes")
    } else if name == "." || name == ".." || name.contains(['/', '\\']) {
        Err("is not a path")
    } else if name.chars().any(char::is_control) {
        Err("holds no control characters")
    } else {
        Ok(())
    }
}

impl output::Host for CellData {
    async fn write(
        &mut self,
        stream: output::OutputStream,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(bytes.len());
        let is_over = match stream {
            output::OutputStream::Stdout => self.link.output.stdout(bytes),
            output::OutputStream::Stderr => self.link.output.stderr(bytes),
        };
        if is_over {
            make_room(&self.link.output).await;
        }
        Ok(Ok(()))
    }

    async fn attach(
        &mut self,
        name: String,
        media_type: String,
        path: String,
    ) -> wasmtime::Result<Result<output::Artifact, types::Refusal>> {
        self.called(name.len() + media_type.len() + path.len());
        let attached = self.attach_file(name, media_type, &path).await;
        let attached = attached.map(|artifact| output::Artifact {
            number: artifact.number,
            sha256: artifact.sha256,
            size: artifact.size,
        });
        Ok(attached.map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scratch_can_be_attached() {
        for good in ["/scratch/report.md", "report.md", "/scratch/a/b", "./a"] {
            assert!(scratch_path(good).is_some(), "{good}");
        }
        for bad in ["/etc/passwd", "../x", "/scratch/../etc", "/scratch", "", "/scratchy/x"] {
            assert!(scratch_path(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn f26_names_are_not_paths() {
        assert!(check_name("report.md").is_ok());
        for bad in ["", "..", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
