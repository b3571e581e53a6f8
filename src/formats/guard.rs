//! Damaged files must be errors, also where a library panics on them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Runs a decoder. A panic inside it is an error of kind `Data` that names the file: decoders index into what they read, and not
/// everything is checked before.
pub(super) fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    // What was being decoded is dropped, and never looked at again.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|payload| {
        let text = Error::from_panic(payload);
        Err(Error::new(
            ErrorKind::Data,
            format!("cannot read {}: it is damaged: the decoder {}", path.display(), text.message()),
        ))
    })
}
