//! `cargo fuzz run journey_answer`; see the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crosscheck_fuzz::run("journey_answer", bytes));
