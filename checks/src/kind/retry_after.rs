//! What a server says that is asked too often: an answer 429, and for how long it wants to be left
//! alone (RFC 6585 section 4). The same words and value for every kind that speaks HTTP.

use std::time::{Duration, UNIX_EPOCH};

use crosscheck_model::Cause;
use http::{HeaderMap, StatusCode, header};

use crate::resolve::Failure;

/// An answer 429.
pub(super) struct Throttled {
    /// Its `Retry-After`, as it was written.
    after: Option<String>,
}

impl Throttled {
    /// `None`: the answer is another. A 503 may have the field as well, but says that nobody is
    /// served: that is looked at as often as any outage.
    pub(super) fn by(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let after = headers.get(header::RETRY_AFTER);
        let after = after.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        (status == StatusCode::TOO_MANY_REQUESTS).then_some(Self { after })
    }

    /// The same of a status and a field that were read otherwise.
    pub(super) fn with(status: u16, after: Option<&str>) -> Option<Self> {
        (status == StatusCode::TOO_MANY_REQUESTS.as_u16())
            .then(|| Self { after: after.map(str::to_owned) })
    }

    /// For how long, if it says so: seconds, or a date (RFC 9110 section 10.2.3). `now` is the time
    /// since 1970.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let text = self.after.as_deref()?.trim();
        if let Ok(seconds) = text.parse::<u32>() {
            return Some(Duration::from_secs(seconds.into()));
        }
        let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(date.saturating_sub(now))
    }

    /// The failure that it is. The limit is this client's (RFC 6585): it is no evidence about other
    /// users.
    pub(super) fn failure(&self) -> Failure {
        let detail = match &self.after {
            Some(after) => format!("status 429: too many requests; Retry-After: {after}"),
            None => "status 429: too many requests".to_owned(),
        };
        Failure::new(Cause::Throttled, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_nothing_else() {
        let now = Duration::from_secs(784_111_717); // 60 s before the date below.
        for (status, field, wanted) in [
            (429, "120", Some(120)),
            (429, " 0 ", Some(0)),
            (429, "Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            (429, "Sun, 06 Nov 1994 08:47:37 GMT", Some(0)),
            (429, "-5", None),
            (429, "99999999999999999999", None),
            (429, "soon", None),
            (503, "120", None),
            (200, "120", None),
        ] {
            let answer = http::Response::builder().status(status).header("retry-after", field);
            let (head, ()) = answer.body(()).expect("an answer").into_parts();
            let throttled = Throttled::by(head.status, &head.headers);
            let wait = throttled.and_then(|throttled| throttled.wait(now));
            assert_eq!(wait.map(|wait| wait.as_secs()), wanted, "{status} {field}");
            let read = Throttled::with(status, Some(field)).and_then(|read| read.wait(now));
            assert_eq!(read, wait, "{status} {field}");
        }
    }
}
