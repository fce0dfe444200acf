//! Saves a scratch directory that is kept from going with the host.

use std::path::{Path, PathBuf};

use anyhow::Error;

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::files;
use crate::{TaskHandle, TaskId};

/// Moves the directory beside the host's own, where nobody sweeps it. `None` when there is none, or it is not kept.
pub(super) async fn save(task: &TaskHandle) -> Result<Option<PathBuf>, Fault> {
    task.gone().await;
    let Some(kept) = task.scratch_dir() else { return Ok(None) };
    let place = place(&kept, task.id());
    let to = place.clone();
    let moved = tokio::task::spawn_blocking(move || files::move_private_dir(&kept, &to)).await.map_err(Error::from);
    let moved = moved.and_then(|moved| moved.map_err(Error::from));
    match moved {
        Ok(()) => Ok(Some(place)),
        Err(error) => {
            let error = error.context(format!("failed to keep the scratch directory as {}", place.display()));
            Err(Fault::new(Exit::Host, error).hint("the task itself has ended"))
        }
    }
}

/// Beside the host's own directory, which holds `kept/ID`. The id cannot be guessed, so nothing lies there already.
fn place(kept: &Path, id: TaskId) -> PathBuf {
    kept.ancestors().nth(3).unwrap_or(Path::new(".")).join(format!("scratch-{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_beside_the_hosts_directory_and_is_not_called_like_one() {
        let id = TaskId::from_random(7);
        let kept = Path::new("/tmp/taskcell-abc/kept").join(id.to_string());
        assert_eq!(place(&kept, id), Path::new("/tmp").join(format!("scratch-{id}")));
    }
}
