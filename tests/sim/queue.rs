//! The future events, sorted by time and then by the sequence in which they were queued.

use super::events::Event;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Due>,
    sequence: u64,
}

struct Due {
    at: Reverse<(u64, u64)>,
    event: Event,
}

impl Queue {
    pub fn push(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.heap.push(Due { at: Reverse((time, self.sequence)), event });
    }

    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|due| due.at.0.0)
    }

    /// The next event that is due.
    pub fn pop(&mut self, now: u64) -> Option<Event> {
        let due = self.next_at().is_some_and(|at| at <= now);
        due.then(|| self.heap.pop().map(|due| due.event)).flatten()
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
