//! The server: its routes over a real socket, what bounds it, and the program `taskcell serve`.

mod bounds;
mod following;
mod http;
mod plugins;
mod program;
mod revoking;
mod strangers;
mod tasks;
mod things;
