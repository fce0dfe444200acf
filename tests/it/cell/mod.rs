//! What happens inside a cell: its limits, what it may touch, what it prints, attaches and says.

mod agent;
mod artifacts;
mod attachments;
mod dense;
mod folders;
mod granted_room;
mod granting;
mod hiding;
mod limits;
mod output;
mod scratch;
mod scratch_kept;
mod system;
