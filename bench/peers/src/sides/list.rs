//! Which sides there are.

use anyhow::Result;
use clap::ValueEnum;

use super::{
    extism::{self, Engines},
    process, taskcell, tokio_task,
};
use crate::{fact::Finding, measure::Amount};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// Taskcell, as a library.
    Taskcell,
    /// Extism, each plugin made from the bytes: an engine for each.
    ExtismEach,
    /// Extism, all plugins made from one that is compiled: one engine for all.
    ExtismShared,
    /// Capsule, by its Python package.
    Capsule,
    /// A native program per task.
    Process,
    /// A task of tokio's.
    Tokio,
}

/// From the left to the right.
pub(crate) const ALL: [Side; 6] =
    [Side::Taskcell, Side::ExtismEach, Side::ExtismShared, Side::Capsule, Side::Process, Side::Tokio];

impl Side {
    /// Measures it, in this process. Capsule is measured by a program in its own language.
    pub(crate) fn measure(self, amount: Amount) -> Result<Vec<Finding>> {
        match self {
            Self::Taskcell => taskcell::measure(amount),
            Self::ExtismEach => extism::measure(amount, Engines::Each),
            Self::ExtismShared => extism::measure(amount, Engines::Shared),
            Self::Capsule => Ok(Vec::new()),
            Self::Process => process::measure(amount),
            Self::Tokio => tokio_task::measure(amount),
        }
    }
}
