//! The `taskcell` program.
