//! What this process uses, as the kernel says.

use std::fs;

use anyhow::{Context, Result};
use procfs::process::{MMapPath, Process};

/// That, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) memory_mib: f64,
    /// Of the kernel's, for this process's pages.
    pub(crate) tables_mib: f64,
    pub(crate) descriptors: f64,
    pub(crate) threads: f64,
}

pub(crate) fn look() -> Result<Look> {
    let mib = |name| Ok::<_, anyhow::Error>(status(name)? / 1024.0);
    Ok(Look {
        memory_mib: mib("VmRSS")?,
        tables_mib: mib("VmPTE")?,
        descriptors: descriptors()?,
        threads: status("Threads")?,
    })
}

/// Larger than any reservation that is none of the pool's memories, in the fast profile: there each cell's has four gibibytes, and
/// the allocator's own are of one to sixteen.
const POOL_BYTES_MIN: u64 = 64 << 30;

/// How much of the memory lies in the pool of the cells' memories, in the fast profile; what lies close beside it is counted too.
#[expect(clippy::cast_precision_loss, reason = "a process has never so much")]
pub(crate) fn pool_mib() -> Result<f64> {
    // Where a reservation is in use it is several mappings, one beside the other.
    let mut regions: Vec<(u64, u64, u64)> = Vec::new();
    for map in Process::myself()?.smaps()? {
        let (begin, end) = map.address;
        let resident = map.extension.map.get("Rss").copied().unwrap_or_default();
        // A memory's first content is mapped from a file without a name.
        let of_pool = map.pathname == MMapPath::Anonymous
            || matches!(&map.pathname, MMapPath::Path(path) if path.to_string_lossy().starts_with("/memfd:"));
        match regions.last_mut() {
            Some((_, last, sum)) if *last == begin && of_pool => {
                *last = end;
                *sum += resident;
            }
            _ if of_pool => regions.push((begin, end, resident)),
            _ => {}
        }
    }
    let pool = regions.iter().filter(|(begin, end, _)| end - begin >= POOL_BYTES_MIN);
    Ok(pool.map(|(_, _, resident)| *resident).sum::<u64>() as f64 / f64::from(1 << 20))
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

/// The numbers of the processors that this process may use.
pub(crate) fn processors() -> Result<Vec<u32>> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux says what a process uses")?;
    let processors = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no such line")?;
    let mut all = Vec::new();
    for part in processors.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<u32>()?..=last.parse()?);
    }
    Ok(all)
}
