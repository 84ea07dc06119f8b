//! `multipart/form-data` (RFC 7578): how browsers send files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crosscheck_model::{Cause, Text};
use schemars::JsonSchema;
use serde::Deserialize;

use super::plan::Faults;
use super::words::Words;
use crate::programs::SENT_AT_MOST_BYTES;
use crate::resolve::Failure;

/// A part as people write it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text, or `{ file: /path, type: image/png }`")]
pub(super) enum PartWanted {
    /// A field's text.
    Text(Text),
    /// A file of the probe.
    File(FileWanted),
}

/// A file to send.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileWanted {
    /// Its path on the probe.
    file: PathBuf,
    /// Its media type. Default: `application/octet-stream`.
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The parts of a form.
#[derive(Debug)]
pub(super) struct Multipart(BTreeMap<String, PartWanted>);

/// Complains of a path that only means something in some directory.
pub(super) fn check_path(path: &Path, place: &[&str], faults: &mut Faults) {
    if !path.is_absolute() {
        let message = format!("`{}` is no absolute path", path.display());
        faults.add(place, message, Some("begin with `/`"));
    }
}

impl Multipart {
    pub(super) fn new(parts: &BTreeMap<String, PartWanted>, faults: &mut Faults) -> Self {
        let one_line = |text: &str| !text.is_empty() && !text.contains(['\r', '\n', '"']);
        for (name, part) in parts {
            if !one_line(name) {
                let hint = Some("one line without quotes");
                faults.add(&["multipart", name], "no name for a part", hint);
            }
            let PartWanted::File(file) = part else { continue };
            check_path(&file.file, &["multipart", name, "file"], faults);
            if file.kind.as_deref().is_some_and(|kind| !one_line(kind) || !kind.contains('/')) {
                let message = "no media type; write `image/png`";
                faults.add(&["multipart", name, "type"], message, None);
            }
        }
        Self(parts.clone())
    }

    pub(super) fn is_secret(&self, words: &Words<'_>) -> bool {
        self.0.values().any(|part| match part {
            PartWanted::Text(text) => words.is_secret(text),
            PartWanted::File(_) => true,
        })
    }

    /// The body and its `Content-Type`.
    pub(super) fn fill(&self, words: &Words<'_>) -> Result<(Vec<u8>, String), Failure> {
        // So long and random that it stands in no part by chance.
        let boundary = format!("crosscheck-{:032x}", rand::random::<u128>());
        let mut body = Vec::new();
        for (name, part) in &self.0 {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
            body.extend(head.bytes());
            match part {
                PartWanted::Text(text) => {
                    body.extend(b"\r\n\r\n");
                    body.extend(words.resolve(text)?.bytes());
                }
                PartWanted::File(FileWanted { file, kind }) => {
                    let named = file.file_name().unwrap_or_default().to_string_lossy();
                    let named = named.replace(['"', '\r', '\n'], "_");
                    let kind = kind.as_deref().unwrap_or("application/octet-stream");
                    let head = format!("; filename=\"{named}\"\r\nContent-Type: {kind}\r\n\r\n");
                    body.extend(head.bytes());
                    body.append(&mut words.host.read(file)?);
                }
            }
            body.extend(b"\r\n");
            if body.len() as u64 > SENT_AT_MOST_BYTES {
                let detail = format!("more than {SENT_AT_MOST_BYTES} bytes to send");
                return Err(Failure::new(Cause::Setup, detail));
            }
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        Ok((body, format!("multipart/form-data; boundary={boundary}")))
    }
}
