//! Which columns of a table are used above a node: so that a source reads no others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::flatten::{Flat, Special};

/// The columns of a node's value that its readers use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns {
    /// All of them, also of what is no table.
    All,
    /// These.
    Some(BTreeSet<Arc<str>>),
}

impl Columns {
    /// None at all.
    pub fn none() -> Columns {
        Columns::Some(BTreeSet::new())
    }

    /// Whether a column is among them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Columns::All => true,
            Columns::Some(names) => names.contains(name),
        }
    }

    /// These and others.
    pub fn extend(&mut self, others: Columns) {
        match (&mut *self, others) {
            (Columns::All, _) => {}
            (_, Columns::All) => *self = Columns::All,
            (Columns::Some(names), Columns::Some(others)) => names.extend(others),
        }
    }
}

impl<N: Into<Arc<str>>> FromIterator<N> for Columns {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Columns {
        Columns::Some(names.into_iter().map(Into::into).collect())
    }
}

/// Per place the columns that are used above: what is wanted itself gives all its columns, every other node the union of
/// what its readers use. Empty where no node narrows what it reads, which is most plans without tables.
pub(super) fn used(flat: &Flat<'_>, wanted: impl Iterator<Item = u32>) -> Vec<Columns> {
    if flat.only_tasks() {
        return Vec::new();
    }
    let mut used = vec![Columns::none(); flat.len() as usize];
    wanted.for_each(|at| used[at as usize] = Columns::All);
    // Readers stand behind what they read.
    for at in (0..flat.len() as usize).rev() {
        let own = std::mem::replace(&mut used[at], Columns::none());
        let special = flat.special(at as u32);
        for (input, read) in flat.reads(at as u32).iter().enumerate() {
            let columns = match special {
                Some(Special::Layers(node)) => node.node().columns(input, &own),
                Some(Special::View { .. }) => own.clone(),
                // A task uses all it reads.
                Some(Special::Renamed) | None => Columns::All,
            };
            used[flat.place_of(*read) as usize].extend(columns);
        }
        used[at] = own;
    }
    used
}
