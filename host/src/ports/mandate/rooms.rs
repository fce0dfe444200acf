//! The room of granted folders that have a quota. A task takes some of it, which is written into its log, and uses it after
//! that: so a host that is started again knows an upper bound of what was used.

use std::collections::BTreeMap;

use crate::model::grants::DirGrant;

/// A quota is taken in so many parts at most, each of which is an event. As much as one of them may be lost with a host.
const PARTS: u64 = 16;

/// As much of a quota is taken at once, and more where more is used at once.
pub(crate) fn part_of(quota: u64) -> u64 {
    quota.div_ceil(PARTS)
}

/// What a task has taken and used, by the path under which it sees the folder.
#[derive(Debug, Default)]
pub(super) struct Rooms(BTreeMap<String, Room>);

/// Of bytes and of inodes.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    bytes: Amount,
    inodes: Amount,
}

#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    used: u64,
    taken: u64,
}

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// It is used now.
    Used,
    /// There would be, once it is in the log that so much is taken in all. Nothing is used yet.
    Take { bytes: u64, inodes: u64 },
    /// The quota is used up.
    None,
}

impl Amount {
    /// How much must be taken in all before so much can be used; `None` when the quota does not allow it.
    fn needed(self, more: u64, quota: Option<u64>) -> Option<u64> {
        let Some(most) = quota else { return Some(self.taken) };
        let used = self.used.checked_add(more).filter(|used| *used <= most)?;
        let part = self.taken.saturating_add(part_of(most)).min(most);
        Some(if used <= self.taken { self.taken } else { used.max(part) })
    }

    fn used(self, more: u64, quota: Option<u64>) -> Self {
        if quota.is_none() { self } else { Self { used: self.used.saturating_add(more), ..self } }
    }
}

impl Rooms {
    /// Uses some room, if it is taken already.
    pub(super) fn use_up(&mut self, dir: &DirGrant, bytes: u64, inodes: u64) -> Space {
        if dir.bytes.is_none() && dir.inodes.is_none() {
            return Space::Used;
        }
        let room = self.0.entry(dir.guest.clone()).or_default();
        let needed = (room.bytes.needed(bytes, dir.bytes), room.inodes.needed(inodes, dir.inodes));
        let (Some(of_bytes), Some(of_inodes)) = needed else { return Space::None };
        if of_bytes > room.bytes.taken || of_inodes > room.inodes.taken {
            return Space::Take { bytes: of_bytes, inodes: of_inodes };
        }
        *room = Room { bytes: room.bytes.used(bytes, dir.bytes), inodes: room.inodes.used(inodes, dir.inodes) };
        Space::Used
    }

    /// Bytes that may still be used there, taken or not.
    pub(super) fn bytes_left(&self, dir: &DirGrant) -> u64 {
        let used = self.0.get(&dir.guest).map_or(0, |room| room.bytes.used);
        dir.bytes.map_or(u64::MAX, |most| most.saturating_sub(used))
    }

    /// Bytes were used, and then were not.
    pub(super) fn give_back(&mut self, dir: &DirGrant, bytes: u64) {
        if let Some(room) = self.0.get_mut(&dir.guest) {
            room.bytes.used = room.bytes.used.saturating_sub(bytes);
        }
    }

    /// So much is in the log as taken.
    pub(super) fn taken(&mut self, folder: &str, bytes: u64, inodes: u64) {
        let room = self.0.entry(folder.to_owned()).or_default();
        (room.bytes.taken, room.inodes.taken) = (room.bytes.taken.max(bytes), room.inodes.taken.max(inodes));
    }

    /// What a host before this one has left: all that was taken may be used.
    pub(super) fn remember(&mut self, rooms: &BTreeMap<String, (u64, u64)>) {
        for (folder, (bytes, inodes)) in rooms {
            let all = |amount: u64| Amount { used: amount, taken: amount };
            self.0.insert(folder.clone(), Room { bytes: all(*bytes), inodes: all(*inodes) });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::grants::Access;

    use super::*;

    fn dir(bytes: Option<u64>, inodes: Option<u64>) -> DirGrant {
        DirGrant { bytes, inodes, ..DirGrant::new("/host", "/data", Access::ReadWrite) }
    }

    /// Uses room as a cell does, and counts how often it is written down.
    fn spend(rooms: &mut Rooms, dir: &DirGrant, bytes: u64, inodes: u64, told: &mut u32) -> bool {
        loop {
            match rooms.use_up(dir, bytes, inodes) {
                Space::Used => return true,
                Space::None => return false,
                Space::Take { bytes, inodes } => {
                    rooms.taken(&dir.guest, bytes, inodes);
                    *told += 1;
                }
            }
        }
    }

    #[test]
    fn t12_a_quota_is_used_to_its_end_and_told_a_few_times() {
        for quota in [0, 1, 10, 1000, 1 << 40, u64::MAX] {
            let (mut rooms, dir, mut told) = (Rooms::default(), dir(Some(quota), Some(3)), 0);
            let piece = (quota / 1000).max(1);
            for _ in 0..quota / piece {
                assert!(spend(&mut rooms, &dir, piece, 0, &mut told), "{quota}");
            }
            let rest = rooms.bytes_left(&dir);
            assert!(spend(&mut rooms, &dir, rest, 0, &mut told));
            assert!(!spend(&mut rooms, &dir, 1, 0, &mut told), "{quota}");
            assert!(told <= 16, "{quota}: {told}");
            assert!(spend(&mut rooms, &dir, 0, 3, &mut told) && !spend(&mut rooms, &dir, 0, 1, &mut told));
            assert!(told <= 16 + 3);
        }
    }

    #[test]
    fn t12_what_was_taken_before_is_used_and_no_more_is_lost_than_a_part() {
        let (mut rooms, dir, mut told) = (Rooms::default(), dir(Some(1600), None), 0);
        assert!(spend(&mut rooms, &dir, 101, 7, &mut told));
        assert_eq!(rooms.use_up(&dir, 100, 0), Space::Take { bytes: 201, inodes: 0 });
        let mut again = Rooms::default();
        again.remember(&BTreeMap::from([("/data".to_owned(), (101, 0))]));
        assert_eq!(again.bytes_left(&dir), 1499);
        assert!(spend(&mut again, &dir, 1499, 0, &mut told) && !spend(&mut again, &dir, 1, 0, &mut told));
    }

    #[test]
    fn t12_what_is_refused_or_given_back_is_not_used() {
        let (mut rooms, dir, mut told) = (Rooms::default(), dir(Some(10), Some(1)), 0);
        assert!(!spend(&mut rooms, &dir, 11, 0, &mut told) && !spend(&mut rooms, &dir, 5, 2, &mut told));
        assert!(spend(&mut rooms, &dir, 10, 1, &mut told));
        rooms.give_back(&dir, 4);
        assert_eq!(rooms.bytes_left(&dir), 4);
        assert!(spend(&mut rooms, &dir, 4, 0, &mut told) && !spend(&mut rooms, &dir, 1, 0, &mut told));
        let free = self::dir(None, None);
        assert!(spend(&mut Rooms::default(), &free, u64::MAX, u64::MAX, &mut 0));
    }
}
