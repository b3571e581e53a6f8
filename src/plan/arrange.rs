//! The order of a plan's tasks where the one in which they were written would hold much more.

use std::cmp::Reverse;

use super::flatten::{Flat, Special};
use crate::graph::{Csr, Tasks, depth_first};

impl Flat<'_> {
    /// Numbers the places anew where that lets fewer values be held at a time; `roots`, the values that are wanted, follow.
    ///
    /// The walk takes the inputs of each node in their order. Mostly that is as good as any, and found to be so in one
    /// look at each read. But in a fold like `acc = f(part, acc)` it makes all parts before it uses the first: there the
    /// input that needs more values is to come first ([`depth_first`]). Values count alike, for their sizes are not known,
    /// and the new order is taken only if fewer of them are held in it.
    pub fn arrange(&mut self, roots: &mut [u32]) {
        if !self.is_crooked() {
            return;
        }
        let rows = self.rows();
        let places: Vec<u32> = roots.iter().map(|root| self.place_of(*root)).collect();
        let order = depth_first(&rows, &places);
        if most_held(&rows, &places, order.iter().copied()) < most_held(&rows, &places, 0..self.len()) {
            self.reorder(&order, roots);
        }
    }

    /// Whether some place, with all that only it needs, needs more than an eighth more values at a time as it is written
    /// than with each input that needs more before those that need less.
    fn is_crooked(&self) -> bool {
        if !self.any_choice {
            return false;
        }
        let mut notes = vec![Note { readers: 0, written: 1, best: 1 }; self.len() as usize];
        for value in self.tasks.all_reads() {
            let readers = &mut notes[self.place_of(*value) as usize].readers;
            *readers = readers.saturating_add(1);
        }
        let mut needs: Vec<(u8, u8)> = Vec::new();
        for at in 0..self.len() {
            let need_of = |value: &u32| {
                let Note { readers, written, best } = notes[self.place_of(*value) as usize];
                // What others read as well is there, or stays: it counts as itself.
                if readers == 1 { (written, best) } else { (1, 1) }
            };
            let reads = self.reads(at);
            let held = (reads.len() + 1).min(MOST) as u8;
            if reads.iter().all(|value| need_of(value) == (1, 1)) {
                // No input has to wait for another.
                let note = &mut notes[at as usize];
                (note.written, note.best) = (held, held);
                continue;
            }
            needs.clear();
            needs.extend(reads.iter().map(need_of));
            let written = most(needs.iter().map(|need| need.0));
            needs.sort_by_key(|need| Reverse(need.1));
            let best = most(needs.iter().map(|need| need.1));
            if written > best.saturating_add(best / 8) {
                return true;
            }
            let note = &mut notes[at as usize];
            (note.written, note.best) = (written.max(held), best.max(held));
        }
        false
    }

    /// The places each place reads.
    fn rows(&self) -> Csr {
        let mut rows = Csr::with_capacity(self.len() as usize, self.tasks.all_reads().len());
        (0..self.len()).for_each(|at| rows.push_row(self.reads(at).iter().map(|value| self.place_of(*value))));
        rows
    }

    fn reorder(&mut self, order: &[u32], roots: &mut [u32]) {
        let mut places = vec![0; order.len()];
        let mut firsts = vec![0; order.len()];
        let mut first = 0;
        for (new, old) in (0..).zip(order) {
            places[*old as usize] = new;
            firsts[*old as usize] = first;
            first += self.values(*old);
        }
        let value = |old: u32| {
            let (place, offset) = self.source(old);
            firsts[place as usize] + offset
        };
        let mut tasks = Tasks::with_capacity(order.len(), self.tasks.all_reads().len());
        for old in order {
            let reads = self.reads(*old).iter().map(|read| value(*read));
            tasks.push(self.call(*old).clone(), reads, self.values(*old));
        }
        roots.iter_mut().for_each(|root| *root = value(*root));
        self.tasks = tasks;
        let place = |old: u32| places[old as usize];
        let specials = std::mem::take(&mut self.specials).into_iter();
        self.specials = specials
            .map(|(at, special)| {
                let special = match special {
                    Special::View { of, piece } => Special::View { of: place(of), piece },
                    other => other,
                };
                (place(at), special)
            })
            .collect();
        self.naming = std::mem::take(&mut self.naming).into_iter().map(|(at, naming)| (place(at), naming)).collect();
        self.gated.iter_mut().for_each(|at| *at = place(*at));
        self.gated.sort_unstable();
    }
}

/// What is known of a place; small, for there is one of each.
#[derive(Clone, Copy)]
struct Note {
    readers: u8,
    /// How many values are held at a time while it and what only it needs are made, with the inputs in the order in which
    /// they are written.
    written: u8,
    /// The same with those that need more before the others.
    best: u8,
}

/// More values than this are not told apart.
const MOST: usize = u8::MAX as usize;

/// How many values are held at a time while inputs are made that need so many each: those made before wait.
fn most(needs: impl Iterator<Item = u8>) -> u8 {
    needs.enumerate().map(|(before, need)| need.saturating_add(before.min(MOST) as u8)).max().unwrap_or(0)
}

/// How many values are held at most if places are made in this order, each value until its last reader is made. Those of the
/// roots stay.
fn most_held(rows: &Csr, roots: &[u32], order: impl Iterator<Item = u32>) -> u32 {
    let mut left = vec![0u32; rows.rows() as usize];
    rows.rows_flat().iter().chain(roots).for_each(|place| left[*place as usize] += 1);
    let (mut held, mut most) = (0u32, 0);
    for at in order {
        held += 1;
        most = most.max(held);
        for read in rows.row(at) {
            let left = &mut left[*read as usize];
            *left -= 1;
            held -= u32::from(*left == 0);
        }
        // What nobody reads is dropped at once.
        held -= u32::from(left[at as usize] == 0);
    }
    most
}
