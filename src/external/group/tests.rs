//! Aggregation against a naive one.
