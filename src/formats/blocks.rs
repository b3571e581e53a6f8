//! Text files cut into blocks of bytes, and blocks put together to partitions.
//!
//! The cuts follow from the sizes of the files and the options alone. They fall anywhere in the text: a record belongs to the
//! block in which it starts.

use super::files::{Compression, SourceFile};
use super::scan::{MORSELS, PARTITION_BYTES};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a block, at least and at most.
const BLOCK_BYTES: std::ops::RangeInclusive<u64> = (256 << 10)..=(16 << 20);

/// A range of the text of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which file.
    pub file: u32,
    /// Where it starts.
    pub start: u64,
    /// Where it ends; of a compressed file, whose length is not known, nowhere.
    pub end: Option<u64>,
    /// Of which partition it is.
    pub partition: u32,
}

/// How files are cut.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// All blocks, those of a file and those of a partition together.
    pub blocks: Vec<Block>,
    /// Bytes of a block that is not the last one of its file.
    pub bytes: u64,
    /// Number of partitions.
    pub partitions: u32,
}

impl Blocks {
    /// Cuts files. A block has an even share of all of them in [`MORSELS`] parts, within bounds, if no size is given; a partition
    /// 128 MiB of one file.
    ///
    /// # Errors
    /// Of kind `Plan`, where there would be more blocks than can be counted.
    pub fn cut(files: &[SourceFile], block_bytes: Option<u64>, partition_bytes: Option<u64>) -> Result<Blocks> {
        let total: u64 = files.iter().map(|file| file.bytes).sum();
        let even = total.div_ceil(MORSELS).clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end()).next_multiple_of(4096);
        let bytes = block_bytes.unwrap_or(even).max(1);
        let per_partition = (partition_bytes.unwrap_or(PARTITION_BYTES) / bytes).max(1);
        let mut blocks = Vec::new();
        let mut partitions = 0_u64;
        let many = || Error::new(ErrorKind::Plan, "files are cut into too many blocks: make them larger");
        for (index, file) in files.iter().enumerate() {
            let index = u32::try_from(index).map_err(|_| many())?;
            let count = if file.compression() == Compression::None { file.bytes.div_ceil(bytes).max(1) } else { 1 };
            if blocks.len() as u64 + count > u64::from(u32::MAX) {
                return Err(many());
            }
            for block in 0..count {
                let start = block * bytes;
                let end = (file.compression() == Compression::None).then(|| (start + bytes).min(file.bytes));
                let partition = u32::try_from(partitions + block / per_partition).map_err(|_| many())?;
                blocks.push(Block { file: index, start, end, partition });
            }
            partitions += count.div_ceil(per_partition);
        }
        Ok(Blocks { blocks, bytes, partitions: u32::try_from(partitions).map_err(|_| many())? })
    }

    /// The blocks of the files that are kept.
    pub fn of_files(&self, kept: &[bool]) -> Vec<Block> {
        self.blocks.iter().filter(|block| kept.get(block.file as usize) == Some(&true)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_and_partitions() {
        let file = |name: &str, bytes| SourceFile { path: name.into(), bytes, modified: None };
        let files = [file("a", 25), file("b", 0), file("c.gz", 1000), file("d", 10)];
        let cut = Blocks::cut(&files, Some(10), Some(20)).unwrap();
        let seen: Vec<_> = cut.blocks.iter().map(|b| (b.file, b.start, b.end, b.partition)).collect();
        assert_eq!(
            seen,
            [
                (0, 0, Some(10), 0),
                (0, 10, Some(20), 0),
                (0, 20, Some(25), 1),
                (1, 0, Some(0), 2),
                (2, 0, None, 3),
                (3, 0, Some(10), 4)
            ]
        );
        assert_eq!(cut.partitions, 5);
        // Half a gigabyte in 16 files: 8 blocks each.
        let files: Vec<_> = (0..16).map(|n| file(&n.to_string(), 32 << 20)).collect();
        let cut = Blocks::cut(&files, None, None).unwrap();
        assert_eq!((cut.bytes, cut.blocks.len(), cut.partitions), (4 << 20, 128, 16));
        let cut = Blocks::cut(&[file("a", 1 << 40)], None, None).unwrap();
        assert_eq!((cut.bytes, cut.blocks.len(), cut.partitions), (16 << 20, 1 << 16, 1 << 13));
        assert_eq!(Blocks::cut(&[file("a", 1000)], None, None).unwrap().bytes, 256 << 10);
        assert!(Blocks::cut(&[file("a", u64::MAX)], Some(1), None).is_err());
    }
}
