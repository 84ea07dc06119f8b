//! For how long a server that is asked too often wants to be left alone (RFC 6585 section 4).

use std::time::{Duration, UNIX_EPOCH};

use http::{StatusCode, header, response};

/// What an answer 429 asks for: seconds, or a date (RFC 9110 section 10.2.3). `now` is the time since
/// 1970. A 503 may have the field as well, but says that nobody is served: that is looked at as often
/// as any outage.
pub(super) fn of(head: &response::Parts, now: Duration) -> Option<Duration> {
    if head.status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let text = head.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(now))
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
            assert_eq!(of(&head, now).map(|wait| wait.as_secs()), wanted, "{status} {field}");
        }
    }
}
