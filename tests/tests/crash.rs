//! What is acknowledged survives a crash at any moment, as far as every change must prove it;
//! `cargo sim --tier 3` tries every operation, of more runs.

use std::path::Path;

use crosscheck_tests::crash::{self, Reach};

#[test]
fn no_crash_loses_or_invents_anything() {
    let recorder = Path::new(env!("CARGO_BIN_EXE_sim"));
    let sum =
        crash::run(recorder, 0, Reach::Sample, &|_| ()).expect("strace records what the stores do");
    if let Some(violation) = sum.violations.first() {
        panic!("{}\n{}", violation.what, violation.reproduce);
    }
    // As many as this seed has been seen to have, and some fewer: less would prove less.
    assert!(sum.points > 2_000 && sum.images > 500 && sum.refused > 10, "{sum}");
    assert!(sum.injected > 20, "{sum}");
}
