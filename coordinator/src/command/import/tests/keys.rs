//! Every key that the documentation of a source names is carried over or told: with it, something
//! in the YAML or in the list is another than without it. A key that nobody knows is told by name.

mod blackbox;
mod cloudprober;
mod gatus;
mod uptime_kuma;

use super::*;

/// A configuration with a gap (`§`), and what may stand there.
struct Place<'a> {
    source: &'a str,
    /// The name of its file.
    file: &'a str,
    text: &'a str,
    targets: Option<&'a str>,
    keys: &'a [&'a str],
    /// A key that nobody knows; none where names are free.
    unknown: Option<&'a str>,
}

impl Place<'_> {
    fn of(&self, key: &str) -> (String, String) {
        let fill = |text: &str| text.replacen('§', key, 1);
        let targets = self.targets.map(fill);
        let (status, yaml, notes) =
            imported(self.source, self.file, fill(self.text).as_bytes(), targets.as_deref());
        assert_eq!(status, FINE, "{}: {key}: {notes}", self.source);
        passes_validation(&yaml);
        let is_open = yaml.contains("hunter2") || notes.contains("hunter2");
        assert!(!is_open, "{}: {key}: a secret in\n{yaml}\n{notes}", self.source);
        (yaml, notes)
    }

    fn holds(&self) {
        let without = self.of("");
        let is_dropped = |key: &&&str| self.of(key) == without;
        let dropped: Vec<_> = self.keys.iter().filter(is_dropped).collect();
        assert!(dropped.is_empty(), "{}: dropped in silence: {dropped:?}", self.source);
        if let Some(unknown) = self.unknown {
            let (yaml, notes) = self.of(unknown);
            assert!(notes.contains("zz"), "{}: {}: {notes}\n{yaml}", self.source, self.text);
        }
    }
}

const YAML: Option<&str> = Some("zz: 1");
