//! What a registry says about a domain, and where the registry is. Pure: bytes in, facts out.

use std::fmt;
use std::str::FromStr;

use crosscheck_model::{Cause, Timestamp};
use serde::Deserialize;

use crate::kind::http::target::Target;
use crate::resolve::Failure;
use crate::text::{Refused, typed_text};

/// A state of a domain. RDAP has words with blanks, EPP the same in one (RFC 8056 section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State(String);

impl State {
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The letters alone: `client hold` and `clientHold` are one.
    fn letters(text: &str) -> String {
        let letters = text.chars().filter(char::is_ascii_alphabetic);
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    }
}

impl FromStr for State {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let is_state = !text.trim().is_empty()
            && text.chars().all(|letter| letter.is_ascii_alphabetic() || letter == ' ');
        if !is_state {
            let message = format!("`{text}` is no state; write `client hold` or `clientHold`");
            return Err(Refused::new(message));
        }
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

typed_text!(State, "a state such as `client hold`", {
    "type": "string",
    "description": "a state of a domain: `client hold`, `redemption period`, `clientTransferProhibited`"
});

/// The parts of an answer (RFC 9083 section 5.3) that are judged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    object_class_name: Option<String>,
    ldh_name: Option<String>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_action: String,
    event_date: Option<String>,
}

/// A registered domain.
#[derive(Debug)]
pub(super) struct Registration {
    states: Vec<String>,
    ends: Option<Timestamp>,
}

impl Registration {
    /// Reads an answer about this domain.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(body: &[u8], name: &str) -> Result<Self, Failure> {
        let broken = |why: String| Failure::new(Cause::Protocol, why);
        let answer: Answer = serde_json::from_slice(body)
            .map_err(|error| broken(format!("the answer is no RDAP: {error}")))?;
        if answer.object_class_name.as_deref() != Some("domain") {
            return Err(broken("the answer is not about a domain".to_owned()));
        }
        let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(other) = answer.ldh_name.filter(|other| plain(other) != plain(name)) {
            return Err(broken(format!("the answer is about `{other}`")));
        }
        let ends = answer.events.iter().find(|event| event.event_action == "expiration");
        let ends = match ends.and_then(|event| event.event_date.as_deref()) {
            None => None,
            Some(text) => Some(moment(text).ok_or_else(|| {
                broken(format!("`{text}`, when the registration ends, is no time (RFC 3339)"))
            })?),
        };
        Ok(Self { states: answer.status, ends })
    }

    /// Days from `now` to its end; below 0 when it has ended.
    pub(super) fn days_left(&self, now: Timestamp) -> Option<f64> {
        let ends = self.ends?;
        let days = |time: std::time::Duration| time.as_secs_f64() / 86_400.0;
        Some(if ends >= now { days(ends.since(now)) } else { -days(now.since(ends)) })
    }

    /// Whether it is in this state.
    pub(super) fn has(&self, state: &State) -> bool {
        let wanted = State::letters(&state.0);
        self.states.iter().any(|known| State::letters(known) == wanted)
    }

    /// The states in a sentence.
    pub(super) fn states(&self) -> String {
        let quoted: Vec<String> = self.states.iter().map(|state| format!("`{state}`")).collect();
        if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// The URL that asks a server for a domain (RFC 9082 section 3.1.3).
///
/// # Errors
/// There is none.
pub(super) fn question(base: &Target, name: &str) -> Result<Target, String> {
    let base = base.to_string();
    let name = name.trim_end_matches('.');
    Target::parse(&format!("{}/domain/{name}", base.trim_end_matches('/')))
}

/// The list of servers (RFC 9224 section 4).
#[derive(Deserialize)]
struct Bootstrap {
    /// Pairs of top-level domains and base URLs.
    services: Vec<Vec<Vec<String>>>,
}

/// The server for a domain: of the longest suffix that is listed, over TLS where it can be.
///
/// # Errors
/// None is listed, or it is no list.
pub(super) fn server_of(name: &str, list: &[u8]) -> Result<Target, Failure> {
    let list: Bootstrap = serde_json::from_slice(list).map_err(|error| {
        Failure::new(Cause::Protocol, format!("the list of registries is none: {error}"))
    })?;
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let fits = |suffix: &str| {
        let suffix = suffix.trim_start_matches('.').to_ascii_lowercase();
        let rest = name.strip_suffix(&suffix)?;
        (rest.is_empty() || rest.ends_with('.')).then_some(suffix.len())
    };
    let mut best: Option<(usize, &[String])> = None;
    for service in &list.services {
        let [suffixes, urls, ..] = service.as_slice() else { continue };
        let length = suffixes.iter().filter_map(|suffix| fits(suffix)).max();
        if let Some(length) = length.filter(|length| best.is_none_or(|(known, _)| *length > known))
        {
            best = Some((length, urls));
        }
    }
    let urls = best.map(|(_, urls)| urls).unwrap_or_default();
    let secure = urls.iter().find(|url| url.starts_with("https://"));
    let Some(url) = secure.or(urls.first()) else {
        let detail = format!("no registry of `{name}` is listed; name it with `server`");
        return Err(Failure::new(Cause::NotOffered, detail));
    };
    Target::parse(url).map_err(|why| Failure::new(Cause::Protocol, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_suffix_and_the_safest_url_are_taken() {
        let list = br#"{ "services": [
            [["com", "net"], ["http://a.test/", "https://b.test/v1/"]],
            [["co.uk"], ["https://c.test"]],
            [["uk"], ["https://d.test"]],
            [["odd"]]
        ] }"#;
        for (name, url) in [
            ("example.com", Some("https://b.test/v1/domain/example.com")),
            ("Example.NET.", Some("https://b.test/v1/domain/Example.NET")),
            ("a.co.uk", Some("https://c.test/domain/a.co.uk")),
            ("a.uk", Some("https://d.test/domain/a.uk")),
            ("examplecom", None),
            ("a.odd", None),
        ] {
            let found =
                server_of(name, list).ok().map(|base| question(&base, name).expect("a URL"));
            assert_eq!(found.map(|url| url.to_string()).as_deref(), url, "{name}");
        }
        assert!(server_of("a.com", b"[]").is_err());
    }
}
