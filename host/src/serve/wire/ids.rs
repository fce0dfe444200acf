//! Ids as they stand in a path: 32 hexadecimal digits in lower case, and nothing else.

use crate::{ScheduleId, TaskId};

/// The task of this id; `None` when the text is no id.
pub fn task_id(text: &str) -> Option<TaskId> {
    TaskId::parse(text)
}

/// The schedule of this id; `None` when the text is no id.
pub fn schedule_id(text: &str) -> Option<ScheduleId> {
    ScheduleId::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t30_an_id_has_one_way_to_be_written() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(task_id(id).map(|id| id.to_string()).as_deref(), Some(id));
        assert!(schedule_id(id).is_some());
        let hyphens = "01234567-89ab-cdef-0123-456789abcdef";
        for bad in ["", "..", "../../etc/passwd", "0", &id.to_uppercase(), hyphens, &format!("{id}\0"), &id[1..]] {
            assert_eq!(task_id(bad), None, "{bad:?}");
        }
    }
}
