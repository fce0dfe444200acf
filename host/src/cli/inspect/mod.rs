//! `taskcell inspect`: what a plugin is, what it can do, what it would like to touch.
//!
//! `command` loads the plugin; `page` is the text for people, `document` the JSON for programs; `fields` makes a short
//! list of a JSON Schema; `diff` compares two versions; `history` is what the audit log says of it.

mod command;
mod diff;
mod document;
mod fields;
mod history;
mod page;

pub(super) use command::inspect;
pub(super) use document::word_of;
