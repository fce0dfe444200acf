//! What this process uses, as the kernel says.

use std::fs;

use anyhow::{Context, Result};

/// That, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) memory_mib: f64,
    pub(crate) descriptors: f64,
    pub(crate) threads: f64,
}

pub(crate) fn look() -> Result<Look> {
    Ok(Look { memory_mib: status("VmRSS")? / 1024.0, descriptors: descriptors()?, threads: status("Threads")? })
}

/// A number in the kernel's account of this process.
fn status(name: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux says what a process uses")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context("no such line")?;
    let number = line.split_whitespace().next().context("an empty line")?;
    Ok(number.parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "a process has never so many")]
fn descriptors() -> Result<f64> {
    Ok(fs::read_dir("/proc/self/fd")?.count() as f64)
}
