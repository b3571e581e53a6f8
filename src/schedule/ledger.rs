//! The pieces of one run: where each is, how many readers it has left, and the bytes counted for them.
//!
//! | place     | in memory | on disk | leaves by                                   |
//! |-----------|-----------|---------|---------------------------------------------|
//! | `None`    | no        | no      | its task has run                            |
//! | `Memory`  | yes       | no      | last reader, or chosen to be spilled        |
//! | `Writing` | yes       | partly  | last reader, or `Spilled`                   |
//! | `Both`    | yes       | yes     | last reader, or evicted                     |
//! | `Disk`    | no        | yes     | last reader, or a task wants it             |
//! | `Reading` | charged   | yes     | `Loaded`                                    |
//! | `Gone`    | no        | no      | never                                       |
//!
//! A task is spilled as a whole: all of its pieces in `Memory` go to `Writing` together, those that a task reads just now
//! as well. The latter are `Both` when they are written, the others `Disk`. A piece whose last reader is through while it
//! is written is `Gone` and released at once, and released again when the file is complete. Outputs in `Collect` mode
//! are charged as delivered from `None` until the run is gone, wherever else they stand.

use std::ops::Range;

use super::event::{Actions, OutputMode, RunId};

/// Bytes are counted in cells of this size, about what the smallest value costs with its box and its entries.
pub(super) const CELL: u64 = 64;

/// Bytes in whole cells.
#[inline]
pub(super) fn cells(bytes: u64) -> u32 {
    bytes.div_ceil(CELL).clamp(1, u64::from(u32::MAX)) as u32
}

/// What is counted for a reservation of so many bytes.
#[inline]
pub(super) fn whole_cells(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { u64::from(cells(bytes)) * CELL }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Place {
    None,
    Memory,
    Writing,
    Both,
    Disk,
    Reading,
    Gone,
}

impl Place {
    /// Whether its bytes are charged.
    #[cfg(any(debug_assertions, test))]
    pub fn charged(self) -> bool {
        matches!(self, Place::Memory | Place::Writing | Place::Both | Place::Reading)
    }

    pub fn needs_read(self) -> bool {
        matches!(self, Place::Disk | Place::Reading)
    }
}

pub(super) struct Ledger {
    pub run: RunId,
    pub mode: OutputMode,
    pub place: Vec<Place>,
    /// Readers a piece still has, the keeper of a kept output among them.
    pub left: Vec<u32>,
    /// Cells of a piece. While its task is out, loading or loaded, the first piece holds what is reserved for the task.
    pub size: Vec<u32>,
    /// One bit per piece: it is an output.
    outputs: Vec<u64>,

    /// Bytes of pieces charged, without delivered outputs.
    pub held: u64,
    /// Bytes reserved for tasks.
    pub reserved: u64,
    /// Bytes of outputs handed to their receiver, in cells.
    pub delivered: u64,
    /// The same as they were reported: a row of small results takes less than the cells that tell what it cost to make.
    pub result_bytes: u64,
    /// Bytes among `held` that will be free when the writes under way are over.
    pub writing: u64,
    /// Pieces that are on disk only, or being read.
    pub on_disk: u32,
}

impl Ledger {
    pub fn new(run: RunId, mode: OutputMode, pieces: u32, outputs: &[Range<u32>]) -> Ledger {
        let pieces = pieces as usize;
        let mut bits = vec![0u64; if outputs.is_empty() { 0 } else { pieces.div_ceil(64) }];
        for piece in outputs.iter().cloned().flatten() {
            bits[piece as usize / 64] |= 1 << (piece % 64);
        }
        Ledger {
            run,
            mode,
            place: vec![Place::None; pieces],
            left: vec![0; pieces],
            size: vec![0; pieces],
            outputs: bits,
            held: 0,
            reserved: 0,
            delivered: 0,
            result_bytes: 0,
            writing: 0,
            on_disk: 0,
        }
    }

    /// Room for the pieces of sub-tasks.
    pub fn grow(&mut self, pieces: u32) {
        let pieces = self.place.len() + pieces as usize;
        self.place.resize(pieces, Place::None);
        self.left.resize(pieces, 0);
        self.size.resize(pieces, 0);
    }

    #[inline]
    pub fn bytes(&self, piece: u32) -> u64 {
        u64::from(self.size[piece as usize]) * CELL
    }

    #[inline]
    pub fn is_output(&self, piece: u32) -> bool {
        self.outputs.get(piece as usize / 64).is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    /// Whether the piece is an output that its receiver already has.
    #[inline]
    pub fn is_delivered(&self, piece: u32) -> bool {
        self.mode == OutputMode::Collect && self.is_output(piece)
    }

    /// All bytes counted for this run.
    #[inline]
    pub fn used(&self) -> u64 {
        self.held + self.reserved + self.delivered
    }

    /// Sets bytes aside for a task; `first` is its first piece.
    #[inline]
    pub fn reserve(&mut self, first: u32, bytes: u64) {
        let size = if bytes == 0 { 0 } else { cells(bytes) };
        self.size[first as usize] = size;
        self.reserved += u64::from(size) * CELL;
    }

    /// Sets as many bytes aside for each of several tasks that give one piece, which are these.
    pub fn reserve_row(&mut self, pieces: Range<u32>, bytes: u64) {
        let size = if bytes == 0 { 0 } else { cells(bytes) };
        self.reserved += u64::from(size) * CELL * pieces.len() as u64;
        self.size[pieces.start as usize..pieces.end as usize].fill(size);
    }

    /// Gives back what was set aside.
    #[inline]
    pub fn unreserve(&mut self, first: u32) {
        self.reserved -= self.bytes(first);
        self.size[first as usize] = 0;
    }

    /// A piece was made, with so many readers, and is an output or not.
    #[inline]
    pub fn made(&mut self, piece: u32, bytes: u64, readers: u32, output: bool, actions: &mut Actions) {
        let size = cells(bytes);
        self.size[piece as usize] = size;
        let delivered = output && self.mode == OutputMode::Collect;
        let left = readers + u32::from(output && !delivered);
        self.left[piece as usize] = left;
        if delivered {
            self.delivered += u64::from(size) * CELL;
            self.result_bytes += bytes;
            self.place[piece as usize] = if left > 0 { Place::Memory } else { Place::Gone };
        } else if left == 0 {
            self.place[piece as usize] = Place::Gone;
            actions.release_piece(self.run, piece);
        } else {
            self.place[piece as usize] = Place::Memory;
            self.held += u64::from(size) * CELL;
        }
    }

    /// Pieces were made that nobody reads, each by the task of its number, for which bytes may be set aside; how many of them
    /// are outputs.
    pub fn made_unread(&mut self, pieces: &[(u32, u64)], actions: &mut Actions) -> u32 {
        let collects = self.mode == OutputMode::Collect;
        let (mut outputs, mut reserved, mut delivered, mut result_bytes) = (0, 0, 0, 0);
        for (piece, bytes) in pieces {
            let output = self.is_output(*piece);
            outputs += u32::from(output);
            if output && collects {
                let size = cells(*bytes);
                reserved += u64::from(std::mem::replace(&mut self.size[*piece as usize], size));
                delivered += u64::from(size);
                result_bytes += bytes;
                self.place[*piece as usize] = Place::Gone;
            } else {
                self.unreserve(*piece);
                self.made(*piece, *bytes, 0, output, actions);
            }
        }
        self.reserved -= reserved * CELL;
        self.delivered += delivered * CELL;
        self.result_bytes += result_bytes;
        outputs
    }

    /// One reader of a piece is through with it.
    pub fn unread(&mut self, piece: u32, actions: &mut Actions) {
        let left = &mut self.left[piece as usize];
        *left -= 1;
        if *left > 0 {
            return;
        }
        let place = std::mem::replace(&mut self.place[piece as usize], Place::Gone);
        match place {
            Place::Memory if self.is_delivered(piece) => {}
            Place::Memory | Place::Both => self.held -= self.bytes(piece),
            Place::Writing => {
                self.held -= self.bytes(piece);
                self.writing -= self.bytes(piece);
            }
            Place::Disk => self.on_disk -= 1,
            Place::None | Place::Reading | Place::Gone => unreachable!("piece {piece} was read while {place:?}"),
        }
        actions.release_piece(self.run, piece);
    }
}
