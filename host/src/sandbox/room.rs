//! How many cells a process has room for: Linux gives each process so many memory mappings, and when they run out it is
//! the host's own allocations that fail. So it is counted before there is a cell.

/// Memory mappings that one running cell takes.
const PER_CELL: u64 = 6;
/// Mappings for the program itself: its code, its threads, compiled plugins, and room to spare.
const OF_PROGRAM: u64 = 2000;

/// The memory mappings that a host needs, and those that the system allows it.
///
/// ```
/// use taskcell::Mappings;
///
/// let mappings = Mappings { cells: 1000, allowed: Some(65_530) };
/// assert!(mappings.suffice());
/// assert!(mappings.cells_max().is_some_and(|most| most > 10_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mappings {
    /// Tasks at once.
    pub cells: u32,
    /// What the system allows: `vm.max_map_count`. `None` where there is no such number.
    pub allowed: Option<u64>,
}

impl Mappings {
    /// Mappings that each cell takes.
    pub const PER_CELL: u64 = PER_CELL;

    /// For so many tasks at once, in this process.
    pub fn here(cells: u32) -> Self {
        Self { cells, allowed: allowed() }
    }

    /// How many the host needs.
    pub fn needed(&self) -> u64 {
        u64::from(self.cells).saturating_mul(PER_CELL).saturating_add(OF_PROGRAM)
    }

    /// Whether there are as many, as far as is known.
    pub fn suffice(&self) -> bool {
        self.allowed.is_none_or(|allowed| allowed >= self.needed())
    }

    /// For how many tasks at once those are enough that are allowed.
    pub fn cells_max(&self) -> Option<u64> {
        self.allowed.map(|allowed| allowed.saturating_sub(OF_PROGRAM) / PER_CELL)
    }
}

#[expect(clippy::disallowed_methods, reason = "the kernel's own account of what it allows")]
fn allowed() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_held_against_what_is_allowed() {
        let usual = |cells| Mappings { cells, allowed: Some(65_530) };
        assert!(usual(8000).suffice() && usual(10_588).suffice());
        assert!(!usual(10_589).suffice());
        assert_eq!(usual(1).cells_max(), Some(10_588));
        assert_eq!(Mappings { cells: 1, allowed: Some(10) }.cells_max(), Some(0));
        let unknown = Mappings { cells: u32::MAX, allowed: None };
        assert!(unknown.suffice() && unknown.cells_max().is_none());
    }
}
