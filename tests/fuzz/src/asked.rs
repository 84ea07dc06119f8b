//! What people, probes and those who want to join hand to a coordinator; and what targets say, on
//! its way into mails and pages.

use std::collections::BTreeMap;

use crosscheck_checks::document::{Document, Source};
use crosscheck_checks::env::Secrets;
use crosscheck_checks::excerpt as shown;
use crosscheck_coordinator::access::Request;
use crosscheck_coordinator::command::catalogue::catalogue;
use crosscheck_coordinator::ingest;
use crosscheck_model::Text;
use crosscheck_model::join::{JoinProbe, JoinToken};
use crosscheck_model::observation::EXCERPT_LIMIT_BYTES;
use crosscheck_model::wire::Report;

use crate::stored::says_the_same;

/// A report that was cut to its bounds is no longer than this for each observation.
const OBSERVATION_LIMIT_BYTES: usize = 32 * 1024;

/// A configuration as people write it, in one file.
pub(crate) fn document(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let sources = [Source { name: "checks.yaml".to_owned(), text }];
    let document = Document::parse(&sources, &catalogue());
    let wrong = document.diagnostics().len();
    assert!(document.config().is_some() || wrong > 0, "refused without a word");
    // What is taken over goes into the log.
    if let Some(config) = document.config() {
        let written = postcard::to_stdvec(config).expect("a configuration has a binary form");
        let read = postcard::from_bytes::<crosscheck_model::Config>(&written).expect("and reads");
        assert_eq!(read, *config);
    }
}

/// A probe's report as its coordinator gets it: packed when the first byte is odd.
pub(crate) fn report(bytes: &[u8]) {
    let Some((packed, body)) = bytes.split_first() else { return };
    let read = |encoding: Option<&[u8]>, body: &[u8]| ingest::read::<Report>(encoding, body);
    let zipped = zstd::bulk::compress(body, 1).expect("anything can be packed");
    let plain = read(None, body);
    let mut report = match packed & 1 {
        0 => read(Some(b"zstd"), body).or(plain),
        _ => read(Some(b"zstd"), &zipped).inspect(|report| {
            assert!(plain.is_ok_and(|plain| says_the_same(&plain, report)));
        }),
    };
    let Ok(report) = &mut report else { return };
    if !ingest::fits(report) {
        return;
    }
    ingest::bound(report);
    let stored = postcard::to_stdvec(report).expect("a report has a binary form");
    let limit =
        OBSERVATION_LIMIT_BYTES * (report.observations.len() + 1) + report.probe.as_str().len();
    assert!(stored.len() <= limit, "{} of {limit} bytes", stored.len());
    let read: Report = postcard::from_bytes(&stored).expect("and reads");
    assert_eq!(postcard::to_stdvec(&read).expect("and writes"), stored);
}

/// What somebody sends who wants to join.
pub(crate) fn join(bytes: &[u8]) {
    if let Ok(asked) = serde_json::from_slice::<JoinProbe>(bytes) {
        drop(Request::parse(&asked.request));
        if let Ok(token) = asked.token.parse::<JoinToken>() {
            assert_eq!(token.reveal().parse(), Ok(token));
        }
    }
    if let Ok(text) = str::from_utf8(bytes) {
        if let Ok(request) = Request::parse(text) {
            assert_eq!(request.key().to_string().len(), 64);
        }
        drop(text.parse::<JoinToken>());
    }
}

/// The secret of [`excerpt`]: not to be seen in what is shown.
const SECRET: &str = "hunter2!";

/// What a target has sent, as people see it.
pub(crate) fn excerpt(bytes: &[u8]) {
    let secrets = Secrets::fixed(BTreeMap::from([("S".to_owned(), SECRET.to_owned())]));
    let reference = Text::new("${env:S}").expect("a reference");
    assert!(secrets.resolve(&reference).is_ok_and(|text| text == SECRET));
    let text = String::from_utf8_lossy(bytes);
    for shown in [shown::of(bytes, &secrets), shown::value(&text, &secrets)] {
        assert!(shown.len() <= EXCERPT_LIMIT_BYTES, "{} bytes", shown.len());
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!shown.contains(shown::is_harmful), "{shown:?}");
    }
}
