//! Integration tests: what a program that depends on the crate sees.

mod array_folds;
mod array_plans;
mod array_programs;
mod array_rules;
mod array_shapes;
mod array_verbs;
mod arrays;
mod arrow_types;
mod bad_tables;
mod cancel;
mod chosen_rows;
mod copies;
mod delayed;
mod disks;
mod edges;
mod exchange;
mod faults;
#[cfg(feature = "gzip")]
mod flights;
#[cfg(target_os = "linux")]
mod full_disk;
mod gate;
mod hive;
mod json_lines;
mod large;
mod layers;
mod odd_files;
mod oracle;
mod order;
mod persist;
mod programs;
mod records;
mod rules;
mod runtime;
mod sharing;
mod spill;
mod statistics;
mod stored_arrays;
mod stores;
mod support;
mod table_plans;
mod table_programs;
mod table_shapes;
mod table_verbs;
mod tables;
mod writing;
#[cfg(feature = "zarr")]
mod zarr_stores;
