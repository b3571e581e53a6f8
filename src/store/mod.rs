//! Chunks, codecs, memory budget, spill files.
