//! The tree's own rules: what a reader relies on without being told.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of the tree that people write, by their path from the root.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !["target", "node_modules", ".git", "crosscheck-data"].contains(&name) {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let from_root = path.strip_prefix(root()).expect("below the root");
                found.push((from_root.display().to_string(), text));
            }
        }
    }
    assert!(found.len() > 100, "the walk found {} files", found.len());
    found
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<String> = files()
        .into_iter()
        .filter(|(path, text)| path.ends_with(".rs") && !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no `//!` on top: {silent:?}");
}

#[test]
fn the_readme_is_short_and_names_what_exists() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let lines = readme.lines().count();
    assert!(lines <= 200, "README.md has {lines} lines; 200 are enough");
    let quoted = readme.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| {
        let is_path = text.contains('/') && !text.contains([' ', ':', '<', '*', '{', '$']);
        is_path && !text.starts_with('/')
    });
    let mut named = 0;
    for path in paths {
        assert!(root().join(path).exists(), "README.md names `{path}`, which is not there");
        named += 1;
    }
    assert!(named > 10, "README.md names only {named} paths");
}

#[test]
fn no_work_is_left_standing_open() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    for (path, text) in files() {
        if !path.ends_with(".rs") && !path.ends_with(".md") && !path.ends_with(".html") {
            continue;
        }
        for mark in marks {
            assert!(!text.contains(mark), "{path} has a {mark}");
        }
    }
}

#[test]
fn source_files_have_one_subject() {
    /// Production lines; what comes after `#[cfg(test)]` is not counted.
    const LIMIT: usize = 500;
    for (path, text) in files() {
        let is_production = path.ends_with(".rs") && path.contains("src/");
        let own = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = own.lines().count();
        assert!(!is_production || lines <= LIMIT, "{path} has {lines} lines: two subjects?");
    }
}
