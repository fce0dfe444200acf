//! What an agent's model can do with a host, as ready tools: their names, texts and schemas, and the handler behind them.
//!
//! It stands on what the library gives to everybody. A model is never trusted: what it sends is checked before anything
//! happens, it acts as [`Party::Agent`](crate::Party), and what it is told has a bounded length.

mod acting;
mod answer;
mod definition;
mod inputs;
mod options;
mod output;
mod reading;
mod toolbox;
mod view;

pub use answer::ToolAnswer;
pub use definition::ToolDefinition;
pub use options::{ToolOptions, ToolQuestion, ToolVerdict};
pub use toolbox::Tools;
