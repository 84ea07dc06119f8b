//! What the tree is built from besides itself: whence it comes, of what there is one only, and under
//! which licences it may be passed on. Known advisories are not looked up here, as their list is not
//! reached from everywhere: `cargo deny check advisories` does that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Where crates come from: nothing from a branch of somebody's repository.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Two of these in one process would not know of each other: two runtimes, two sets of TLS settings,
/// two libraries that write the same database.
const ALONE: [&str; 16] = [
    "axum",
    "h2",
    "http",
    "hyper",
    "libsqlite3-sys",
    "openraft",
    "quinn",
    "rcgen",
    "reqwest",
    "ring",
    "rusqlite",
    "rustls",
    "rustls-webpki",
    "serde",
    "tokio",
    "x509-parser",
];

/// Other cryptography than *ring*, and TLS other than rustls: there is one to be kept up to date.
const FORBIDDEN: [&str; 12] = [
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "boring-sys",
    "mbedtls",
    "native-tls",
    "openssl",
    "openssl-src",
    "openssl-sys",
    "wolfssl",
    "wolfssl-sys",
];

/// What may be passed on together with Apache-2.0, asking for no more than the text of the licence.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    // Of webpki-roots: it is data, the certificates of authorities.
    "CDLA-Permissive-2.0",
    "ISC",
    "LLVM-exception",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A crate of `Cargo.lock`, by the words that stand behind its fields.
type Locked = BTreeMap<String, String>;

fn locked() -> Vec<Locked> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let field = |line: &str| {
        let (name, value) = line.split_once(" = \"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    };
    let crates = text.split("[[package]]").skip(1);
    let crates: Vec<Locked> = crates.map(|one| one.lines().filter_map(field).collect()).collect();
    assert!(crates.len() > 100, "{} crates", crates.len());
    crates
}

#[test]
fn every_crate_comes_from_the_one_registry_with_its_checksum() {
    let ours = |one: &Locked| one["name"].starts_with("crosscheck-");
    for other in locked().iter().filter(|one| !ours(one)) {
        assert_eq!(other.get("source").map(String::as_str), Some(REGISTRY), "{other:?}");
        assert!(other.contains_key("checksum"), "{other:?}");
    }
}

#[test]
fn there_is_one_of_what_must_be_alone_and_no_other_cryptography() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in locked() {
        versions.entry(one["name"].clone()).or_default().push(one["version"].clone());
    }
    for name in ALONE {
        let found = versions.get(name).map_or(&[][..], Vec::as_slice);
        let hint =
            "see who wants which by `cargo tree --invert`; if it is gone, take it out of here";
        assert_eq!(found.len(), 1, "{name} {found:?}: {hint}");
    }
    for name in FORBIDDEN {
        let hint = "`cargo tree --invert` says who wants it: switch that feature off";
        assert!(!versions.contains_key(name), "{name} is in Cargo.lock; {hint}");
    }
}

/// Whether an expression (SPDX) asks for nothing but what is in the list. Where it mixes "and" with
/// "or", all that it names must be there.
fn may_be_passed_on(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ");
    let words = licence.split(|c: char| c.is_whitespace() || "()".contains(c));
    let mut names = words.filter(|word| !["", "AND", "OR", "WITH"].contains(word)).peekable();
    let is_fine = |name: &str| LICENCES.contains(&name);
    if names.peek().is_none() {
        false
    } else if licence.contains(" AND ") {
        names.all(is_fine)
    } else {
        licence.split(" OR ").any(|choice| choice.split(" WITH ").all(|name| is_fine(name.trim())))
    }
}

#[test]
fn every_licence_may_be_passed_on() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).current_dir(root());
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let crates = found["packages"].as_array().expect("a list");
    assert!(crates.len() > 100, "{} crates", crates.len());
    for one in crates {
        let licence = one["license"].as_str().unwrap_or_default();
        let name = one["name"].as_str().unwrap_or_default();
        assert!(may_be_passed_on(licence), "{name} has the licence `{licence}`");
    }
}

#[test]
fn licences_are_read_as_they_are_meant() {
    for (licence, is_fine) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-2.0-only OR MIT", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("GPL-3.0-or-later", false),
        ("MIT AND GPL-2.0-only", false),
        ("Apache-2.0 WITH Commons-Clause", false),
        ("(MIT OR GPL-2.0-only) AND ISC", false),
        ("", false),
    ] {
        assert_eq!(may_be_passed_on(licence), is_fine, "{licence}");
    }
}
