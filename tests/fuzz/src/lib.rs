//! Hostile bytes for everything that reads what others wrote: files, probes, targets, disks.
//!
//! ```text
//! corpus/<target>/* ──> bounded run (tests/bounded): the seeds and seeded mutations of them
//!                  └──> libFuzzer (targets/*.rs): mutations that find new ways, on demand
//!                                \___ both call run(target, bytes) ___/
//! ```
//!
//! **Invariants**
//! - A target never panics, keeps its memory within bounds, and ends.
//! - What was read and is written again reads as the same.
//!
//! On demand, from the root of the tree; a C++ compiler is needed, a nightly toolchain is not:
//!
//! ```text
//! cargo install --locked cargo-fuzz
//! export CROSSCHECK_CORPUS=$PWD/target/corpus
//! cargo test -p crosscheck-fuzz written            # the seeds of stored formats
//! mkdir -p target/corpus/command
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz --features libfuzzer command \
//!     target/corpus/command tests/fuzz/corpus/command \
//!     -- -max_total_time=600 -rss_limit_mb=1024 -timeout=30
//! ```
//!
//! What it finds is mended, gets a unit test beside the mended code, and a seed in the corpus.

mod answers;
mod asked;
mod loopback;
mod stored;

/// Something that reads bytes of others.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its corpus and of its program.
    pub name: &'static str,
    /// Reads the bytes; panics when an invariant is broken.
    pub read: fn(&[u8]),
    /// How many mutations the bounded run tries: as many as take about a second.
    pub mutations: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "document", read: asked::document, mutations: 1_000 },
    Target { name: "report", read: asked::report, mutations: 3_000 },
    Target { name: "join", read: asked::join, mutations: 3_000 },
    Target { name: "excerpt", read: asked::excerpt, mutations: 3_000 },
    Target { name: "command", read: stored::command, mutations: 5_000 },
    Target { name: "snapshot", read: stored::snapshot, mutations: 5_000 },
    Target { name: "log_record", read: stored::log_record, mutations: 5_000 },
    Target { name: "spool", read: stored::spool, mutations: 3_000 },
    Target { name: "history_page", read: stored::history_page, mutations: 5_000 },
    Target { name: "backup", read: stored::backup, mutations: 3_000 },
    Target { name: "dns_answer", read: answers::dns, mutations: 500 },
    Target { name: "http_answer", read: answers::http, mutations: 500 },
    Target { name: "journey_answer", read: answers::journey, mutations: 300 },
    Target { name: "service_answer", read: answers::service, mutations: 500 },
];

/// Has one target read these bytes.
///
/// # Panics
/// There is no such target, or the bytes break an invariant.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target `{name}`")).read)(bytes);
}
