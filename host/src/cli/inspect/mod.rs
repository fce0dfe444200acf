//! `taskcell inspect`: what a plugin is, what it can do, what it would like to touch.
//!
//! `command` loads the plugin; `page` is the text for people, `document` the JSON for programs; `fields` makes a short
//! list of a JSON Schema.

mod command;
mod document;
mod fields;
mod page;

pub(super) use command::inspect;
