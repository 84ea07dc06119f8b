//! `cargo fuzz run dns_answer`; see the crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crosscheck_fuzz::run("dns_answer", bytes));
