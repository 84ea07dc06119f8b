//! `cargo fuzz run log_record`; see the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crosscheck_fuzz::run("log_record", bytes));
