//! What the system's allocator keeps of the memory that is freed: enough that batches do not fault their pages in again and again,
//! and no more than is promised of the process. Other allocators have their own ways, and do not mind.

/// Functions of glibc that no library offers safely.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use core::ffi::c_int;

    // SAFETY: glibc has these functions with these signatures since its version 2.0. They take the allocator's own locks and touch
    // nothing that is in use; any arguments are good, those without a meaning change nothing.
    unsafe extern "C" {
        pub safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
        pub safe fn malloc_trim(pad: usize) -> c_int;
    }

    /// How much may be free at the end of a heap.
    pub const M_TRIM_THRESHOLD: c_int = -1;
    /// From what size on a block is taken from the system by itself, and given back when it is freed.
    pub const M_MMAP_THRESHOLD: c_int = -3;
}

/// Lets the system's allocator keep some memory that is freed, in place of giving every larger block back.
///
/// glibc takes blocks from 128 KiB on from the system one by one, and gives each back when it is freed; so columns of batches
/// would be paid for with page faults again and again: half the time of reading Parquet files, measured. It raises that
/// bound by itself when a larger block is freed, up to 32 MiB, and keeps twice of it at the end of the heap of each thread, which
/// cannot be got back. So the bounds are set, once in a process: 2 MiB, and 4 MiB to be kept for each thread, which is inside what
/// is promised. Who has set bounds in the environment keeps them.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        let is_set = |name: &str| std::env::var_os(name).is_some();
        ONCE.call_once(|| {
            if !["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"].into_iter().any(is_set) {
                let _ = glibc::mallopt(glibc::M_MMAP_THRESHOLD, 2 << 20);
                let _ = glibc::mallopt(glibc::M_TRIM_THRESHOLD, 4 << 20);
            }
        });
    }
}

/// Gives the system what its allocator keeps of freed memory: whole pages between blocks that are in use. By itself glibc does so only
/// at the end of a heap, of which each thread has one; where blocks that wait are mixed with short-lived ones, several times of
/// what is in use stays resident (measured: 476 MiB where 128 were in use, by 8 threads).
///
/// It walks over all that is free, and takes milliseconds for each hundred MiB.
pub fn give_back_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let _ = glibc::malloc_trim(0);
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;
    use crate::store::process::resident;

    #[test]
    fn what_was_freed_between_blocks_in_use_goes_back_and_those_stay() {
        keep_freed_memory();
        let anon = || resident().map_or(0, |resident| resident.anon);
        let mut blocks: Vec<Vec<u8>> = (0..1024).map(|at| vec![at as u8; 100 << 10]).collect();
        let full = anon();
        // Every second one, so that no end of a heap is free.
        for block in blocks.iter_mut().step_by(2) {
            *block = Vec::new();
        }
        give_back_freed_memory();
        let left = anon();
        assert!(left + (30 << 20) < full, "{left} of {full}");
        let kept = blocks.iter().enumerate().skip(1).step_by(2);
        assert!(kept.into_iter().all(|(at, block)| block.iter().all(|byte| *byte == at as u8)));
    }
}
