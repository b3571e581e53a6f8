//! A map from the addresses of nodes, which lie close together, to small numbers: pages of neighbours in a hash table.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Two nodes are at least this far apart: each has the counts of its `Arc`, which are 16 bytes.
const STEP: usize = 16;

/// Steps in a page: 4 KiB of addresses.
const PAGE: usize = 256;

/// Pages that were asked for lately: a node mostly reads nodes made shortly before it.
const RECENT: usize = 64;

/// Numbers by address; [`AddressMap::NONE`] stands for none.
pub(super) struct AddressMap {
    pages: HashMap<usize, u32, FixedState>,
    slots: Vec<[u32; PAGE]>,
    /// By the last bits of a page's number: its number and where its slots are.
    recent: [(usize, u32); RECENT],
}

impl Default for AddressMap {
    fn default() -> AddressMap {
        // No page has this number: addresses are divided to get it.
        AddressMap { pages: HashMap::default(), slots: Vec::new(), recent: [(usize::MAX, 0); RECENT] }
    }
}

impl AddressMap {
    pub const NONE: u32 = u32::MAX;

    /// The place of an address, made where it is not there.
    #[inline]
    pub fn entry(&mut self, address: usize) -> &mut u32 {
        let slot = address / STEP;
        let page = slot / PAGE;
        let (recent, at) = self.recent[page % RECENT];
        let at = if recent == page { at } else { self.page(page) };
        &mut self.slots[at as usize][slot % PAGE]
    }

    #[cold]
    #[inline(never)]
    fn page(&mut self, page: usize) -> u32 {
        let slots = &mut self.slots;
        let at = *self.pages.entry(page).or_insert_with(|| {
            slots.push([Self::NONE; PAGE]);
            slots.len() as u32 - 1
        });
        self.recent[page % RECENT] = (page, at);
        at
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
