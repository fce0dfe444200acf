//! The control socket in a server's directory: only its owner may open it.

use std::fs::{Permissions, remove_file, set_permissions, symlink_metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

/// Its name in the directory.
const NAME: &str = "control.sock";
/// Bytes of a path that the system takes for a socket: `sun_path` has 108 (`unix(7)`), and one of them ends the path.
const PATH_BYTES_MAX: usize = 107;
/// Connections that the system keeps until they are taken. More are refused, or wait in `connect`.
const BACKLOG: u32 = 128;
/// Nobody but its owner: whoever may open it may do everything.
const MODE: u32 = 0o600;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The path is longer than the system takes.
    #[error(
        "the path {} has {} bytes, and that of a socket has at most {PATH_BYTES_MAX}: use a directory with a shorter path, \
         or a link to it",
        path.display(), path.as_os_str().len()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// Something else is in its place.
    #[error("{} is no socket: move it away, or use another directory", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("failed to open the socket {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The path of the control socket of a server on this directory.
///
/// # Errors
/// When it is longer than the system takes.
pub fn socket_path(data: &Path) -> Result<PathBuf, SocketError> {
    let path = data.join(NAME);
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(SocketError::TooLong { path });
    }
    Ok(path)
}

/// Opens the control socket of a server on this directory, in the place of one that a server left there.
///
/// The caller owns the directory: it holds its lock, so whatever socket is there belongs to nobody any more. Must be called
/// in a tokio runtime.
///
/// # Errors
/// When its path is too long, something else than a socket is there, or the system does not let it be made.
pub fn listen(data: &Path) -> Result<UnixListener, SocketError> {
    let path = socket_path(data)?;
    let failed = |source| SocketError::Io { path: path.clone(), source };
    match symlink_metadata(&path) {
        Ok(there) if there.file_type().is_socket() => remove_file(&path).map_err(failed)?,
        Ok(_) => return Err(SocketError::NoSocket { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(&path).map_err(failed)?;
    // Between the two nobody can connect: a socket that does not listen refuses.
    set_permissions(&path, Permissions::from_mode(MODE)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn t31_a_socket_is_its_owners_and_takes_the_place_of_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        drop(listen(dir.path()).unwrap());
        let path = socket_path(dir.path()).unwrap();
        assert!(path.exists(), "the system leaves it behind");
        let listener = listen(dir.path()).unwrap();
        assert_eq!(symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(listener);
        remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(listen(dir.path()), Err(SocketError::NoSocket { .. })));
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_told() {
        let long = Path::new("/").join("x".repeat(100));
        let error = socket_path(&long).unwrap_err().to_string();
        assert!(error.contains("has 114 bytes") && error.contains("at most 107"), "{error}");
        assert!(socket_path(Path::new("/d")).is_ok());
    }
}
