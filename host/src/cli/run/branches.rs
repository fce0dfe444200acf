//! Looks at a task and everything below it: the host's states make a tree.

use std::collections::HashMap;

use crate::cli::{environment, terminal};
use crate::{Child, Host, TaskHandle, TaskId, Timestamp};

use super::tree::{Columns, Frame, Node};

/// Tasks that are looked at. More than that nobody reads, and each look costs.
const TASKS_MAX: usize = 1_000;

/// Lines of a terminal that the tree leaves free: for the bar, and for where the cursor is.
const FREE_ROWS: u16 = 2;

impl Frame {
    /// The room below the bar.
    pub(super) fn of_terminal() -> Self {
        let lines_max = terminal::rows().saturating_sub(FREE_ROWS).max(1);
        Self { columns: Columns::of(Some(terminal::columns())), lines_max: lines_max.into(), now: now() }
    }

    /// Where what does not fit scrolls away: all lines, as wide as a terminal there, or a file's reader, can bear.
    pub(super) fn endless() -> Self {
        let columns = environment::can_redraw().then(terminal::columns);
        Self { columns: Columns::of(columns), lines_max: usize::MAX, now: now() }
    }
}

fn now() -> Timestamp {
    // Before 1970 nothing has ended long ago.
    Timestamp::of_instant(environment::now().timestamp()).unwrap_or_default()
}

/// A task whose tree is shown.
#[derive(Debug)]
pub(super) struct Branches<'a> {
    host: &'a Host,
    root: TaskHandle,
    /// What is over does not change, and need not be looked at again. The host may forget it before the tree ends.
    over: HashMap<TaskId, Node>,
}

impl<'a> Branches<'a> {
    /// The tree below a task of this host.
    pub(super) fn of(host: &'a Host, root: &TaskHandle) -> Self {
        Self { host, root: root.clone(), over: HashMap::new() }
    }

    /// The tree as it is now.
    pub(super) fn look(&mut self) -> Node {
        let mut left = TASKS_MAX;
        self.grown(&self.root.clone(), &mut left)
    }

    fn grown(&mut self, task: &TaskHandle, left: &mut usize) -> Node {
        let state = task.state();
        let mut node = Node::of(&state);
        *left = left.saturating_sub(1);
        for child in &state.children {
            if *left == 0 {
                node.unseen += 1;
            } else {
                node.children.push(self.below(child, left));
            }
        }
        node
    }

    fn below(&mut self, child: &Child, left: &mut usize) -> Node {
        if let Some(known) = self.over.get(&child.id) {
            *left = left.saturating_sub(known.tasks());
            return known.clone();
        }
        let node = if let Some(task) = self.host.task(child.id) {
            self.grown(&task, left)
        } else {
            *left = left.saturating_sub(1);
            Node::as_told(child)
        };
        if node.is_over() && *left > 0 {
            self.over.insert(child.id, node.clone());
        }
        node
    }
}
