//! The settings of the real kinds as people get them wrong: each file in `bad_settings/`, named
//! after its kind, has its exact messages in `bad_settings_snapshots/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crosscheck_checks::document::{Catalogue, Disk, Document, report};
use crosscheck_checks::kind;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn stems(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(here(directory)).expect("the directory is there");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            path.file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect()
}

#[test]
fn each_bad_file_has_its_messages() {
    let catalogue = Catalogue { kinds: kind::KINDS, channels: &[] };
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("bad_settings_snapshots");
    settings.bind(|| {
        for name in stems("tests/bad_settings") {
            assert!(kind::find(&name).is_some(), "no kind is called `{name}`");
            let file = here("tests/bad_settings").join(format!("{name}.yaml"));
            let document = Document::load(std::slice::from_ref(&file), &Disk, &catalogue);
            assert!(document.config().is_none(), "nothing is wrong with {name}.yaml");
            let mut out = Vec::new();
            report(&mut out, document.diagnostics(), false).expect("memory takes it");
            let out = String::from_utf8(out).expect("text");
            let root = format!("{}/", here("tests/bad_settings").display());
            insta::assert_snapshot!(name.as_str(), out.replace(&root, ""));
        }
    });
    assert_eq!(stems("tests/bad_settings"), stems("tests/bad_settings_snapshots"));
    let kinds: BTreeSet<_> = kind::KINDS.iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(stems("tests/bad_settings"), kinds, "each kind has a file");
}
