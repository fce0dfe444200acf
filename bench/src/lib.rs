//! What becomes of samples: figures, a table for people, JSON for programs, a picture.
//!
//! Nothing here knows what is measured; the program beside it measures.

mod count;
mod curve;
mod curves;
mod figure;
mod hostile_row;
mod plot;
mod stats;
mod table;

pub use count::{Compared, Count, Counted};
pub use curve::{Curve, Verdict};
pub use curves::write_curves;
pub use figure::{Figure, Owed};
pub use hostile_row::{HostileRow, hostile_table};
pub use plot::plot;
pub use stats::{median, quantile};
pub use table::table;
