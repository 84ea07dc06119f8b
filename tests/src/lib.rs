//! The harness, and what no crate can test alone.

pub mod cluster;
