//! A map from node numbers, which come in runs, to small numbers: pages of neighbours in a hash table.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

const PAGE: u64 = 64;

/// Numbers by node number; `u32::MAX` stands for none.
#[derive(Default)]
pub(super) struct IdMap {
    pages: HashMap<u64, u32, FixedState>,
    slots: Vec<[u32; PAGE as usize]>,
    last: Option<(u64, u32)>,
}

impl IdMap {
    pub const NONE: u32 = u32::MAX;

    /// The place of a number, made where it is not there.
    pub fn entry(&mut self, id: u64) -> &mut u32 {
        let page = id / PAGE;
        let slot = match self.last {
            Some((last, slot)) if last == page => slot,
            _ => {
                let slots = &mut self.slots;
                *self.pages.entry(page).or_insert_with(|| {
                    slots.push([Self::NONE; PAGE as usize]);
                    slots.len() as u32 - 1
                })
            }
        };
        self.last = Some((page, slot));
        &mut self.slots[slot as usize][(id % PAGE) as usize]
    }

    /// The number of a node, or `NONE`.
    pub fn get(&mut self, id: u64) -> u32 {
        *self.entry(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_numbers() {
        let mut map = IdMap::default();
        for id in (0..1000).chain([u64::MAX, 1 << 40, 63, 64]) {
            if map.get(id) == IdMap::NONE {
                *map.entry(id) = (id % 1013) as u32;
            }
        }
        for id in (0..1000).chain([u64::MAX, 1 << 40]) {
            assert_eq!(map.get(id), (id % 1013) as u32);
        }
        assert_eq!(map.get(5000), IdMap::NONE);
    }
}
