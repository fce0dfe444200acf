//! Saves the files that a task published, under names that are safe.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::files;
use crate::{Artifact, TaskHandle, TaskId, escape};

/// Bytes of a saved file's name, with room for a number below the 255 that file systems take.
const NAME_BYTES_MAX: usize = 120;
/// Bytes of an ending that is kept when a name is cut.
const ENDING_BYTES_MAX: usize = 16;

/// A file that the task published.
#[derive(Debug)]
pub(in crate::cli) struct Saved {
    pub(in crate::cli) artifact: Artifact,
    /// Where it was saved; `None` when nobody wanted that.
    pub(in crate::cli) path: Option<PathBuf>,
}

/// Where artifacts go unless the person says otherwise.
pub(super) fn default_dir(id: TaskId) -> PathBuf {
    let id = id.to_string();
    Path::new("taskcell-artifacts").join(id.get(..8).unwrap_or(&id))
}

/// Saves all of them. The folder is made only when there is something to save.
pub(super) async fn save(handle: &TaskHandle, dir: &Path) -> Result<Vec<Saved>, Fault> {
    let mut saved = Vec::new();
    for artifact in handle.state().artifacts {
        let content = handle.read_artifact(artifact.number).await.context("failed to read it");
        saved.push(save_one(artifact, content, dir).await?);
    }
    Ok(saved)
}

/// Saves one, if it could be read.
pub(in crate::cli) async fn save_one(
    artifact: Artifact,
    content: Result<Vec<u8>, Error>,
    dir: &Path,
) -> Result<Saved, Fault> {
    match written(&artifact, content, dir).await {
        Ok(path) => Ok(Saved { artifact, path: Some(path) }),
        Err(error) => {
            let name = escape(&artifact.name);
            let error = error.context(format!("failed to save the artifact {name} in {}", dir.display()));
            Err(Fault::new(Exit::Host, error).hint("the task itself has ended; name another folder with --artifacts"))
        }
    }
}

async fn written(artifact: &Artifact, content: Result<Vec<u8>, Error>, dir: &Path) -> Result<PathBuf, Error> {
    let content = content?;
    let (dir, name) = (dir.to_owned(), safe_name(&artifact.name));
    // A folder can be slow, and Ctrl-C works all the same.
    Ok(tokio::task::spawn_blocking(move || files::save_new(&dir, &name, &content)).await??)
}

/// A file name made of what a guest called its file: no folders, nothing hidden, nothing that a terminal or a command
/// line would take for something else.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    let safe: String = last
        .chars()
        .map(|c| {
            let mut buffer = [0; 4];
            let alone: &str = c.encode_utf8(&mut buffer);
            let tricky = escape(alone) != alone || "<>:\"|?*".contains(c);
            if tricky { '_' } else { c }
        })
        .collect();
    let safe = safe.trim_start_matches(|c: char| c == '.' || c == '-' || c == '~' || c.is_whitespace());
    let safe = shorten(safe.trim_end_matches(|c: char| c == '.' || c.is_whitespace()));
    if safe.is_empty() { "artifact".to_owned() } else { safe }
}

/// Cuts a long name in front of its ending.
fn shorten(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() <= ENDING_BYTES_MAX => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let room = NAME_BYTES_MAX - ending.len();
    format!("{}{ending}", stem.get(..stem.floor_char_boundary(room)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay() {
        for name in ["report.md", "Bericht über α.txt", "a b.tar.gz", "no-ending"] {
            assert_eq!(safe_name(name), name);
        }
    }

    #[test]
    fn tricks_become_harmless() {
        let cases = [
            ("../../etc/passwd", "passwd"),
            ("/abs/x.md", "x.md"),
            ("..\\..\\x.md", "x.md"),
            ("dir/", "dir"),
            (".bashrc", "bashrc"),
            ("..", "artifact"),
            ("", "artifact"),
            ("///", "artifact"),
            ("-rf", "rf"),
            ("a\u{1b}[31m\nb\0", "a_[31m_b_"),
            ("cod\u{202e}gpj.exe", "cod_gpj.exe"),
            ("CON:x?.md ", "CON_x_.md"),
        ];
        for (name, safe) in cases {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_ending() {
        let safe = safe_name(&format!("{}.md", "€".repeat(500)));
        assert!(safe.len() <= NAME_BYTES_MAX && safe.ends_with("€.md"), "{safe}");
        assert!(safe_name(&format!("x.{}", "y".repeat(500))).len() <= NAME_BYTES_MAX);
    }
}
