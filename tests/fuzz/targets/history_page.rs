//! `cargo fuzz run history_page`; see the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crosscheck_fuzz::run("history_page", bytes));
