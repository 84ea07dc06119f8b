//! Planted secrets, and whether anything tells one: as it was planted, or in the clothes that
//! servers and programs give to texts.

use std::fs;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::api::Api;

/// What must not be told.
#[derive(Clone, Debug)]
pub struct Markers {
    planted: Vec<String>,
    /// A form, and which marker it is of.
    forms: Vec<(String, usize)>,
    /// All forms in one pass: the files of a cluster have hundreds of megabytes.
    any: AhoCorasick,
}

impl Markers {
    /// These, in all their forms.
    pub fn new(planted: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let planted: Vec<String> = planted.into_iter().map(Into::into).collect();
        let forms_of =
            |(at, marker): (usize, &String)| forms(marker).into_iter().map(move |form| (form, at));
        let forms: Vec<_> = planted.iter().enumerate().flat_map(forms_of).collect();
        let any = AhoCorasick::new(forms.iter().map(|(form, _)| form)).expect("a few short texts");
        Self { planted, forms, any }
    }

    /// Fails when one is in what was told.
    ///
    /// # Panics
    /// It is.
    pub fn assert_untold(&self, what: &str, told: &[u8]) {
        let Some(found) = self.any.find(told) else { return };
        let from = found.start().saturating_sub(200);
        let around = String::from_utf8_lossy(&told[from..told.len().min(found.start() + 100)]);
        let (form, of) = &self.forms[found.pattern().as_usize()];
        let marker = &self.planted[*of];
        panic!("`{marker}` as `{form}` in {what}: {around}");
    }

    /// Looks through all files below a directory but those of these names; how many it were.
    ///
    /// # Panics
    /// One is in a file.
    pub fn assert_untold_below(&self, directory: &Path, except: &[&str]) -> usize {
        let entries = fs::read_dir(directory).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let excepted = |path: &Path| except.iter().any(|name| path.ends_with(name));
        let look = |path: std::path::PathBuf| {
            if path.is_dir() {
                return self.assert_untold_below(&path, except);
            }
            // Files of SQLite come and go while the program works.
            let Ok(told) = fs::read(&path) else { return 0 };
            self.assert_untold(&path.display().to_string(), &told);
            1
        };
        paths.filter(|path| !excepted(path)).map(look).sum()
    }

    /// Asks for everything that can be got: each path that the API's own description lists, with
    /// these checks, and the pages.
    ///
    /// # Panics
    /// One is in an answer, or hardly anything is answered.
    pub async fn assert_untold_by(&self, api: &Api, checks: &[&str]) {
        let incidents = api.list("/api/v1/incidents").await.expect("a list");
        let incident = incidents[0]["id"].to_string();
        let described = api.json("/api/v1/openapi.json").await.expect("a description");
        let mut paths: Vec<String> = vec!["/".into(), format!("/incidents/{incident}")];
        let described = described["paths"].as_object().expect("paths").keys();
        for path in described.chain([&"/checks/{check}".to_owned()]) {
            let path = path.replace("{incident}", &incident).replace("{page}", "none");
            paths.extend(checks.iter().map(|check| path.replace("{check}", check)));
        }
        paths.sort();
        paths.dedup();
        let mut answered = 0;
        for path in &paths {
            let (status, text) = api.get(path).await.expect("an answer");
            self.assert_untold(path, text.as_bytes());
            answered += usize::from(status == 200);
        }
        assert!(answered > 20, "{answered} of {paths:?}");
    }
}

/// The marker as it stands, and as it may be repeated.
fn forms(marker: &str) -> Vec<String> {
    let hex: String = marker.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c.to_string(),
        c => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    };
    let percent: String = marker.chars().map(percent).collect();
    let json = serde_json::Value::from(marker).to_string().trim_matches('"').to_owned();
    let mut forms = vec![marker.to_owned(), marker.chars().rev().collect(), percent, json];
    forms.extend([hex.to_uppercase(), hex]);
    // Wherever it begins within a group of three bytes: without what its neighbours have part in.
    for (shift, begin) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&[0_u8; 2][..shift], marker.as_bytes()].concat();
        let text = STANDARD_NO_PAD.encode(&bytes);
        forms.push(text[begin..bytes.len() * 8 / 6].to_owned());
    }
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_marker_is_noticed_in_every_form() {
        let markers = Markers::new(["mark/er\"7Qx"]);
        for told in [
            "x mark/er\"7Qx".to_owned(),
            "xQ7\"re/kram".to_owned(),
            "p=mark%2Fer%227Qx&".to_owned(),
            "{\"a\":\"mark/er\\\"7Qx\"}".to_owned(),
            "6d61726b2f65722237517 8".replace(' ', ""),
            STANDARD.encode("user:mark/er\"7Qx"),
            STANDARD.encode("us:mark/er\"7Qx, and more"),
        ] {
            let noticed = std::panic::catch_unwind(|| markers.assert_untold("it", told.as_bytes()));
            assert!(noticed.is_err(), "{told}");
        }
        markers.assert_untold("it", b"nothing of the kind");
    }
}
