//! Memory that is read soon: asked for before it is needed.
//!
//! Processors ask for memory ahead on their own, but begin anew with each page of 4 KiB. Loops that do little with each number wait for memory
//! most of the time; asking for what lies a page further makes them a tenth faster on some processors (`benches/README.md`).

/// How far ahead: a page.
const BYTES: usize = 4096;

/// Bytes that are fetched at once.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for the memory that lies a page behind a run, as much as the run is long. It is no error where nothing is there.
#[inline(always)]
pub(super) fn ask_ahead<T>(run: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..size_of_val(run).div_ceil(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = run.as_ptr().cast::<i8>().wrapping_add(BYTES + line * LINE);
        // SAFETY: the instruction reads nothing into a register, changes nothing that a program can see, and does not fail whatever the address is
        // (Intel SDM volume 2, PREFETCHh: "a hint"); it belongs to SSE, which each x86-64 has. The address is made by wrapping, so that it need
        // not lie in the memory of the run.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (run, BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_happens_where_no_memory_is() {
        // The last elements of what there is, nothing at all, and what lies at no address.
        let values = vec![1.0f64; 1 << 20];
        ask_ahead(&values[values.len() - 32..]);
        ask_ahead(&values[values.len()..]);
        ask_ahead::<f64>(&[]);
        ask_ahead(&[(); 100]);
        assert!(values.iter().all(|value| *value == 1.0));
    }
}
