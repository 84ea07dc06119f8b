//! `cargo fuzz run excerpt`; see the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crosscheck_fuzz::run("excerpt", bytes));
