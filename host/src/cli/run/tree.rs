//! A task and everything below it, as lines for a person. Pure: the nodes, the room and the moment make the lines.
//!
//! `node` makes nodes of snapshots, and documents of nodes; `table` puts the columns into the room; here is what folds
//! when there is little.

mod node;
mod table;
#[cfg(test)]
mod tests;

use crate::Timestamp;

pub(super) use node::Node;
pub(in crate::cli) use node::Standing;
pub(super) use table::Columns;

use table::Row;

/// How long a child that has ended keeps its line while room is short, in milliseconds: long enough to be read.
const LINGER_MS: u64 = 5_000;

/// The room that the tree has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// How wide a line may be.
    pub(super) columns: Columns,
    /// How many lines there may be.
    pub(super) lines_max: usize,
    /// The moment it is drawn.
    pub(super) now: Timestamp,
}

/// What gives way when there are more lines than room, each with all that stand before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fold {
    Nothing,
    /// What ended some time ago.
    Old,
    /// Whatever has ended.
    Ended,
    /// What waits for its turn.
    Queued,
}

/// The lines of a tree: at most `lines_max` of them, none wider than `columns`, and safe to show.
pub(super) fn lines(root: &Node, frame: &Frame) -> Vec<String> {
    let mut rows = Vec::new();
    for fold in [Fold::Nothing, Fold::Old, Fold::Ended, Fold::Queued] {
        rows = rows_of(root, fold, frame);
        if rows.len() <= frame.lines_max {
            break;
        }
    }
    if rows.len() > frame.lines_max {
        let hidden = rows.split_off(frame.lines_max.saturating_sub(1));
        let tasks: usize = hidden.iter().map(Row::tasks).sum();
        rows.push(Row::rest(tasks));
        rows.truncate(frame.lines_max);
    }
    table::lines(&rows, frame.columns)
}

fn rows_of<'a>(root: &'a Node, fold: Fold, frame: &Frame) -> Vec<Row<'a>> {
    let mut rows = vec![Row::node(String::new(), root, root)];
    let walk = Walk { root, fold, now: frame.now };
    walk.below(root, "", &mut rows);
    rows
}

struct Walk<'a> {
    root: &'a Node,
    fold: Fold,
    now: Timestamp,
}

impl<'a> Walk<'a> {
    /// Adds the rows of what is below a node.
    fn below(&self, parent: &'a Node, lead: &str, rows: &mut Vec<Row<'a>>) {
        let (folded, shown): (Vec<&Node>, Vec<&Node>) = parent.children.iter().partition(|child| self.folds(child));
        let count = Count::of(&folded, parent.unseen);
        for (at, child) in shown.iter().enumerate() {
            let last = at + 1 == shown.len() && count.is_empty();
            rows.push(Row::node(format!("{lead}{}", if last { "└─ " } else { "├─ " }), child, self.root));
            self.below(child, &format!("{lead}{}", if last { "   " } else { "│  " }), rows);
        }
        if !count.is_empty() {
            rows.push(Row::count(lead, &count));
        }
    }

    /// Whether a child, and all that is below it, is only counted.
    fn folds(&self, child: &Node) -> bool {
        self.gives_way(child) && child.children.iter().all(|below| self.folds(below))
    }

    fn gives_way(&self, node: &Node) -> bool {
        let old = || node.ended_at.is_none_or(|at| at.0.saturating_add(LINGER_MS) <= self.now.0);
        match self.fold {
            Fold::Nothing => false,
            Fold::Old => node.standing.is_over() && old(),
            Fold::Ended => node.standing.is_over(),
            Fold::Queued => node.standing.is_over() || node.standing == Standing::Queued,
        }
    }
}

/// Tasks that have no line of their own.
#[derive(Debug, Default)]
struct Count {
    well: usize,
    badly: usize,
    queued: usize,
    /// Of these is known that they are there, and no more.
    unseen: usize,
}

impl Count {
    fn of(folded: &[&Node], unseen: usize) -> Self {
        let mut count = Self { unseen, ..Self::default() };
        for node in folded {
            count.add(node);
        }
        count
    }

    fn add(&mut self, node: &Node) {
        if node.standing == Standing::Succeeded {
            self.well += 1;
        } else if node.standing.is_over() {
            self.badly += 1;
        } else {
            self.queued += 1;
        }
        self.unseen += node.unseen;
        for child in &node.children {
            self.add(child);
        }
    }

    fn tasks(&self) -> usize {
        self.well + self.badly + self.queued + self.unseen
    }

    fn is_empty(&self) -> bool {
        self.tasks() == 0
    }

    /// `12 ended: 10 ✓ 2 ✗, 3 queued, 7 more`.
    fn words(&self) -> String {
        let ended = match (self.well, self.badly) {
            (0, 0) => None,
            (well, 0) => Some(format!("{well} ended ✓")),
            (0, badly) => Some(format!("{badly} ended ✗")),
            (well, badly) => Some(format!("{} ended: {well} ✓ {badly} ✗", well + badly)),
        };
        let queued = (self.queued > 0).then(|| format!("{} queued", self.queued));
        let unseen = (self.unseen > 0).then(|| format!("{} more", self.unseen));
        [ended, queued, unseen].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
