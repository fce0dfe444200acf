//! Integration tests: real guests in real cells, and the real program. One binary, so that wasmtime is linked once.

mod cell;
mod cli;
mod life;
mod loading;
mod support;
