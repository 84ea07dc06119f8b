//! Whether an answer is as wanted.

use std::time::Duration;

use crosscheck_model::{Cause, Phase};
use http::{HeaderMap, HeaderName, StatusCode, header, response};

use super::expect::Expectations;
use super::json::Rule;
use super::settings::{BodyWanted, HeaderWanted, StatusRange};
use crate::dial::Timer;
use crate::env::Secrets;
use crate::excerpt;
use crate::kind::retry_after::Throttled;
use crate::resolve::Failure;

/// What the answer must be.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) status: Vec<StatusRange>,
    pub(super) headers: Vec<(HeaderName, HeaderWanted)>,
    pub(super) body: BodyWanted,
    pub(super) json: Vec<Rule>,
    pub(super) expect: Expectations,
    pub(super) compressed: Option<bool>,
    pub(super) slower_than: Option<Duration>,
    pub(super) slower: Vec<(Phase, Duration)>,
    pub(super) warn_days: Option<u16>,
}

impl Wanted {
    /// Whether the body must be kept whole.
    pub(super) fn looks_at_body(&self) -> bool {
        let body = &self.body;
        !(body.contains.is_empty()
            && body.matches.is_empty()
            && body.lacks.is_empty()
            && self.json.is_empty()
            && !self.expect.look_at_body())
    }

    /// Whether the status is one of those wanted.
    pub(super) fn accepts(&self, status: StatusCode) -> bool {
        let code = status.as_u16();
        self.status.iter().any(|range| (range.first..=range.last).contains(&code))
    }

    /// What is wrong with the answer: the first cause, with everything that is wrong in words.
    pub(super) fn judge(
        &self,
        head: &response::Parts,
        (body, is_compressed): (&[u8], Option<bool>),
        secrets: &Secrets,
    ) -> Option<Failure> {
        if !self.accepts(head.status) {
            return Some(self.wrong_status(head, secrets)); // An error page's body is wrong by necessity.
        }
        let headers = self.headers.iter().filter_map(|(name, wanted)| {
            Some((Cause::Header, wrong_header(&head.headers, name, wanted, secrets)?))
        });
        let packing = self.wrong_packing(head, is_compressed);
        let packing = packing.map(|complaint| (Cause::Header, complaint));
        let wrong: Vec<_> = headers.chain(packing).chain(self.wrong_body(body, secrets)).collect();
        joined(wrong)
    }

    /// What is wrong with a good answer's time and certificate: no users are stopped by it.
    pub(super) fn flaws(&self, timer: &Timer, certificate_days: Option<f64>) -> Option<Failure> {
        let mut flaws = Vec::new();
        if let (Some(days), Some(warn)) = (certificate_days, self.warn_days)
            && days <= f64::from(warn)
        {
            let detail = format!("the certificate expires in {days:.1} days, wanted {warn}");
            flaws.push((Cause::CertificateExpiring, detail));
        }
        if let Some(limit) = self.slower_than
            && timer.elapsed() > limit
        {
            let detail = format!("took {:.1?}, wanted at most {limit:?}", timer.elapsed());
            flaws.push((Cause::Slow, detail));
        }
        for (phase, limit) in &self.slower {
            match timer.phases().get(*phase) {
                Some(took) if took > *limit => {
                    let phase = phase.as_str();
                    let detail = format!("{phase} took {took:.1?}, wanted at most {limit:?}");
                    flaws.push((Cause::Slow, detail));
                }
                _ => {}
            }
        }
        joined(flaws)
    }

    fn wrong_status(&self, head: &response::Parts, secrets: &Secrets) -> Failure {
        let code = head.status.as_u16();
        if let Some(throttled) = Throttled::by(head.status, &head.headers) {
            return throttled.failure();
        }
        let wanted: Vec<_> = self.status.iter().map(StatusRange::to_string).collect();
        let mut detail = format!("status {code}, wanted {}", wanted.join(" or "));
        if let (true, Some(to)) =
            (head.status.is_redirection(), shown(&head.headers, header::LOCATION, secrets))
        {
            detail
                .push_str(&format!("; it redirects to {to} (`redirects` says how many to follow)"));
        }
        Failure { cause: Cause::Status, detail }
    }

    /// Whether the body was packed as wanted; without a body there is nothing to pack.
    fn wrong_packing(&self, head: &response::Parts, is_compressed: Option<bool>) -> Option<String> {
        let (wanted, is) = (self.compressed?, is_compressed?);
        let coding = head.headers.get(header::CONTENT_ENCODING);
        let coding = coding.and_then(|value| value.to_str().ok()).unwrap_or_default();
        match (wanted, is) {
            (true, false) => Some("the body is not compressed, and must be".to_owned()),
            (false, true) => Some(format!("the body is compressed ({coding}), and must not be")),
            _ => None,
        }
    }

    fn wrong_body(&self, body: &[u8], secrets: &Secrets) -> Vec<(Cause, String)> {
        let mut wrong = Vec::new();
        let text = String::from_utf8_lossy(body);
        let wanted = &self.body;
        for part in wanted.contains.iter().filter(|part| !text.contains(part.as_str())) {
            wrong.push((Cause::Body, format!("the body does not contain {part:?}")));
        }
        for pattern in wanted.matches.iter().filter(|pattern| !pattern.is_match(&text)) {
            wrong.push((Cause::Body, format!("the body does not match `{pattern}`")));
        }
        for part in wanted.lacks.iter().filter(|part| text.contains(part.as_str())) {
            wrong.push((Cause::Body, format!("the body contains {part:?}")));
        }
        if !self.json.is_empty() {
            match serde_json::from_slice(body) {
                Ok(json) => {
                    let complaints =
                        self.json.iter().filter_map(|rule| rule.complaint(&json, secrets));
                    wrong.extend(complaints.map(|complaint| (Cause::Json, complaint)));
                }
                Err(error) => wrong.push((Cause::Json, format!("the body is no JSON: {error}"))),
            }
        }
        wrong
    }
}

/// A header's value, made fit to be told.
fn shown(headers: &HeaderMap, name: HeaderName, secrets: &Secrets) -> Option<String> {
    let value = headers.get(name)?;
    Some(excerpt::value(&String::from_utf8_lossy(value.as_bytes()), secrets))
}

/// One of the values of a header that is repeated is enough.
fn wrong_header(
    headers: &HeaderMap,
    name: &HeaderName,
    wanted: &HeaderWanted,
    secrets: &Secrets,
) -> Option<String> {
    let is_wanted = |value: &http::HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        match wanted {
            HeaderWanted::Equals(equal) => text == equal.as_str(),
            HeaderWanted::Matches(pattern) => pattern.is_match(&text),
        }
    };
    if headers.get_all(name).iter().any(is_wanted) {
        return None;
    }
    let wanted = match wanted {
        HeaderWanted::Equals(equal) => format!("{equal:?}"),
        HeaderWanted::Matches(pattern) => format!("a match of `{pattern}`"),
    };
    Some(match shown(headers, name.clone(), secrets) {
        Some(value) => format!("header `{name}` is {value:?}, wanted {wanted}"),
        None => format!("header `{name}` is missing, wanted {wanted}"),
    })
}

fn joined(wrong: Vec<(Cause, String)>) -> Option<Failure> {
    let cause = wrong.first()?.0;
    let details: Vec<_> = wrong.into_iter().map(|(_, detail)| detail).collect();
    Some(Failure { cause, detail: details.join("; ") })
}
