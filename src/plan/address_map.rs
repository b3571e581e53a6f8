//! A map from the addresses of nodes, which lie close together, to small numbers: pages of neighbours in a hash table.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Two nodes are at least this far apart: each has the counts of its `Arc`, which are 16 bytes.
const STEP: usize = 16;

/// Steps in a page: 4 KiB of addresses.
const PAGE: usize = 256;

/// Pages that were asked for lately: a node mostly reads nodes made shortly before it.
const RECENT: usize = 64;

/// Addresses that are looked through one by one before there are pages: the maps of most copies stay that small.
const FEW: usize = 8;

/// Numbers by address; [`AddressMap::NONE`] stands for none.
#[derive(Default)]
pub(super) struct AddressMap {
    few: Vec<(usize, u32)>,
    pages: HashMap<usize, u32, FixedState>,
    slots: Vec<[u32; PAGE]>,
    /// By the last bits of a page's number: its number and where its slots are. Empty where there are no pages.
    recent: Vec<(usize, u32)>,
}

impl AddressMap {
    pub const NONE: u32 = u32::MAX;

    /// The place of an address, made where it is not there.
    #[inline]
    pub fn entry(&mut self, address: usize) -> &mut u32 {
        let slot = address / STEP;
        let page = slot / PAGE;
        match self.recent.get(page % RECENT) {
            Some((recent, at)) if *recent == page => &mut self.slots[*at as usize][slot % PAGE],
            Some(_) => {
                let at = self.page(page);
                &mut self.slots[at as usize][slot % PAGE]
            }
            None => self.one_of_few(address),
        }
    }

    #[cold]
    #[inline(never)]
    fn page(&mut self, page: usize) -> u32 {
        let slots = &mut self.slots;
        let at = *self.pages.entry(page).or_insert_with(|| {
            if slots.len() == slots.capacity() {
                // By a quarter: what grows beside it is large enough.
                slots.reserve_exact(slots.len() / 4 + 1);
            }
            slots.push([Self::NONE; PAGE]);
            slots.len() as u32 - 1
        });
        self.recent[page % RECENT] = (page, at);
        at
    }

    fn one_of_few(&mut self, address: usize) -> &mut u32 {
        let found = self.few.iter().position(|(other, _)| *other == address);
        let at = match found {
            Some(at) => at,
            None if self.few.len() < FEW => {
                self.few.push((address, Self::NONE));
                self.few.len() - 1
            }
            None => {
                // No page has this number: addresses are divided to get it.
                self.recent = vec![(usize::MAX, 0); RECENT];
                for (address, number) in std::mem::take(&mut self.few) {
                    *self.entry(address) = number;
                }
                return self.entry(address);
            }
        };
        &mut self.few[at].1
    }

    /// The number at an address, or `NONE`.
    pub fn get(&mut self, address: usize) -> u32 {
        *self.entry(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_addresses() {
        for count in 0..2 * FEW {
            let mut map = AddressMap::default();
            for round in 0..2u32 {
                for at in 0..count {
                    let known = if round == 0 { AddressMap::NONE } else { at as u32 };
                    assert_eq!(map.get(at * 4096 + 64), known);
                    *map.entry(at * 4096 + 64) = at as u32;
                }
            }
        }
    }

    #[test]
    fn near_and_far_addresses() {
        let mut map = AddressMap::default();
        let addresses: Vec<usize> = (0..1000).map(|at| at * 24).chain([usize::MAX, 1 << 40, 1 << 41]).collect();
        for (at, address) in addresses.iter().enumerate() {
            assert_eq!(map.get(*address), AddressMap::NONE);
            *map.entry(*address) = at as u32;
        }
        for (at, address) in addresses.iter().enumerate() {
            assert_eq!(map.get(*address), at as u32);
        }
        assert_eq!(map.get(1 << 42), AddressMap::NONE);
    }
}
