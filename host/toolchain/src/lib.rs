//! Finds or makes a Rust compiler for WebAssembly guests, on machines with rustup and on machines without.
//!
//! Guests are built for `wasm32-wasip2` (or `wasm32-wasip1`) with the whole standard library. Where the compiler comes
//! from is tried in this order:
//!
//! 1. the `rustc` in the path, if it has the target;
//! 2. a toolchain that the third way has made before;
//! 3. `rustup target add`;
//! 4. on Debian, the packages `rustc-web`, `cargo-web`, `rust-web-src` and `wasi-libc`, with the standard library built
//!    once into a cache folder.
//!
//! The crate blocks, prints nothing, and reads no environment of its own accord: callers hand in [`Options`] and a
//! function that passes on what is being done, because some of it takes minutes.
//!
//! ```no_run
//! use taskcell_toolchain::{Options, Toolchain};
//!
//! let options = Options::from_env(|name| std::env::var_os(name))?;
//! let toolchain = Toolchain::ensure(&options, &mut |doing| eprintln!("{doing}"))?;
//! let status = toolchain.cargo().args(["build", "--target", toolchain.target().triple()]).status();
//! # let _ = status;
//! # Ok::<(), taskcell_toolchain::ToolchainError>(())
//! ```

mod apt;
mod debian;
mod disk;
mod environment;
mod error;
mod lock;
mod options;
mod plan;
mod run;
mod rustup;
mod sysroot;
mod toolchain;

pub use error::ToolchainError;
pub use options::{CACHE_DIR_VARIABLE, Options, Target, WAY_VARIABLE, Way};
pub use toolchain::Toolchain;
