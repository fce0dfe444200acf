//! Native code, on its way into the engine.
//!
//! # Why running it is safe
//!
//! Whatever native code these bytes hold will run, so they must be what Cranelift made of a component that it checked:
//!
//! - A [`Code`] is made in two ways only: by Cranelift in this process, or out of the answer of a child process that the
//!   host started for this one component. The child is this very program, or one that the operator named: whoever
//!   can replace it, replaces the host as well. It was fed with hostile input; but so is Cranelift in this process, and
//!   a fault of it that writes wrong code does so in either place. What the child cannot do is hurt the host while it compiles.
//! - The answer comes through a pipe that nobody else holds, begins with a mark, and counts only when the child ended with
//!   success. Wasmtime checks that the code was made by its own version with the engine's own settings.
//! - A file of the cache lies in a directory of our own user with mode 0700; `ArtifactCache::open` refuses any other,
//!   and a link in its place. Whoever can write there is this user already and needs no trick.
//! - It comes into being under a temporary name in the same directory and is renamed, so nobody sees half of one.
//!   Nothing ever writes to a file in place, so a mapping never changes under a running task.
//! - Its name is the SHA-256 of the digest of what it was compiled from and of wasmtime's version and compatibility hash,
//!   so code for another component, engine setting or version is another file. Wasmtime checks the latter once more.
//! - A second file beside it says how long it is and what the checksum (XXH3) of its name and content is; one that was torn, has rotted or came
//!   from another name is compiled anew. Both are read only when they are plain files of our own user that nobody else may touch.
//! - Nothing from outside is ever put in: `ArtifactCache::keep` takes a `Code` and nothing else.

use std::fmt;
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiled code of one component.
pub struct Code(Vec<u8>);

impl Code {
    /// Compiles in this process: takes what time and memory it takes.
    ///
    /// # Errors
    /// What Cranelift says about a component that it cannot compile.
    pub fn compile(engine: &Engine, component: &[u8]) -> wasmtime::Result<Self> {
        engine.precompile_component(component).map(Self)
    }

    /// The code that a child process answered with.
    pub(crate) fn from_child(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// When it was made with other settings or by another version of wasmtime.
    pub fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the module's documentation is the argument. In short: Cranelift has just made these bytes, here or in a
        // child of our own.
        unsafe { Component::deserialize(engine, &self.0) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("bytes", &self.0.len()).finish()
    }
}

/// Maps a file of the cache whose seal has just been checked.
pub(crate) fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the module's documentation is the argument. In short: the file lies in a directory that only this user
    // can write to, under a name that only `ArtifactCache::keep` makes, holds what Cranelift made, and was just checked.
    unsafe { Component::deserialize_file(engine, path) }
}
