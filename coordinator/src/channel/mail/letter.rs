//! What a mail says, in words: from a notice to the text and the HTML that people read.
//!
//! Everything comes from the notice, so that the same words can be written again by any node.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use askama::Template;
use crosscheck_checks::excerpt::is_harmful;
use crosscheck_checks::mail::line::{cut, one_line};
use crosscheck_core::flapping;
use crosscheck_core::outbox::{Edge, Notice, SiteOpinion};
use crosscheck_model::{Cause, Status, Timestamp};

/// Sites shown with all they said, for each thing said: the rest of a large fleet is named only,
/// so that a mail about it still fits one screen of a telephone.
const SITES_IN_FULL: usize = 5;
/// The longest line of what a site said, in characters: two lines of a telephone.
const DETAIL_LIMIT_CHARS: usize = 120;
/// The longest sentence on what the fault looks like: three lines of a telephone.
const FINDING_LIMIT_CHARS: usize = 200;

/// The words of a mail.
#[derive(Debug)]
pub(super) struct Letter {
    /// What is the case: `DOWN`, `DEGRADED`, `UNKNOWN`, `RECOVERED`, `REMOVED`; `DRILL` and
    /// `DRILL OVER` where nothing is.
    pub(super) word: &'static str,
    /// The check's name, or what else it is about.
    pub(super) name: String,
    color: &'static str,
    target: String,
    summary: String,
    /// What the fault looks like; for an alarm only.
    finding: Option<String>,
    /// For an end whose alarm never arrived, for what comes and goes, and for what others depend on.
    asides: Vec<String>,
    facts: Vec<Fact>,
    groups: Vec<Group>,
    runbook: Option<Pointer>,
    link: Option<Pointer>,
    incident: String,
}

#[derive(Debug)]
struct Fact {
    name: &'static str,
    value: String,
}

/// Sites that say the same.
#[derive(Debug)]
struct Group {
    word: String,
    color: &'static str,
    cause: Option<&'static str>,
    /// What all of them add to the cause, in the same words; else it stands with each.
    detail: String,
    sites: Vec<Line>,
    /// The sites beyond [`SITES_IN_FULL`].
    more: Vec<String>,
}

#[derive(Debug)]
struct Line {
    site: String,
    place: String,
    took: String,
    detail: String,
}

/// A text, which may be an address on the web.
#[derive(Debug)]
pub(super) struct Pointer {
    pub(super) text: String,
    pub(super) is_link: bool,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Plain<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// The words for a notice.
    pub(super) fn of(notice: &Notice) -> Self {
        let (word, color) = if notice.drill { drill(notice.edge) } else { word(notice.edge) };
        let (target, name) = (one_line(&notice.target), name(notice));
        Self {
            word,
            color,
            target: if target == name { String::new() } else { target },
            name,
            summary: sentence(&one_line(&notice.summary)),
            finding: looks_like(notice),
            asides: asides(notice),
            facts: facts(notice),
            groups: groups(&notice.sites),
            runbook: notice.runbook.as_deref().map(Pointer::of),
            link: notice.link.as_deref().map(Pointer::of),
            incident: notice.incident.to_string(),
        }
    }

    /// The subject: `[DOWN] shop home`.
    pub(super) fn subject(&self) -> String {
        format!("[{}] {}", self.word, self.name)
    }

    /// The text part.
    pub(super) fn text(&self) -> Result<String, askama::Error> {
        Plain { letter: self }.render()
    }

    /// The HTML part.
    pub(super) fn html(&self) -> Result<String, askama::Error> {
        Html { letter: self }.render()
    }
}

/// What is the case, in a word, and its colour.
pub(super) const fn word(edge: Edge) -> (&'static str, &'static str) {
    match edge {
        Edge::Recovery => ("RECOVERED", color(Status::Up)),
        Edge::Removed => ("REMOVED", color(Status::Unknown)),
        Edge::Alarm(Status::Down) => ("DOWN", color(Status::Down)),
        Edge::Alarm(Status::Degraded) => ("DEGRADED", color(Status::Degraded)),
        Edge::Alarm(Status::Unknown) => ("UNKNOWN", color(Status::Unknown)),
        Edge::Alarm(Status::Up) => ("UP", color(Status::Up)),
    }
}

/// The same of a failure that is simulated.
const fn drill(edge: Edge) -> (&'static str, &'static str) {
    match edge {
        Edge::Alarm(_) => ("DRILL", color(Status::Unknown)),
        Edge::Recovery | Edge::Removed => ("DRILL OVER", color(Status::Up)),
    }
}

/// The check's name, or what else it is about.
pub(super) fn name(notice: &Notice) -> String {
    one_line(notice.check.as_ref().map_or(notice.target.as_str(), |id| id.as_str()))
}

/// What stands behind the summary: for an end whose alarm never arrived, for what comes and goes,
/// and for what others depend on.
pub(super) fn asides(notice: &Notice) -> Vec<String> {
    [belated(notice), postponed(notice), hushed(notice)].into_iter().flatten().collect()
}

impl Pointer {
    pub(super) fn of(text: &str) -> Self {
        // A runbook may have several lines; they stay.
        let text: String = text.chars().filter(|&char| char == '\n' || !is_harmful(char)).collect();
        let text = text.trim().to_owned();
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        Self { is_link: is_web && !text.contains(char::is_whitespace), text }
    }
}

/// The colour of a status: dark enough for white letters on it, light enough to be seen on black.
const fn color(status: Status) -> &'static str {
    match status {
        Status::Down => "#c8321f",
        Status::Degraded => "#b45f06",
        Status::Unknown => "#5b6b7c",
        Status::Up => "#1a7f4b",
    }
}

/// What the fault looks like, where it is still there.
pub(super) fn looks_like(notice: &Notice) -> Option<String> {
    let finding = notice.finding.as_ref().filter(|_| matches!(notice.edge, Edge::Alarm(_)))?;
    Some(sentence(&cut(&one_line(finding), FINDING_LIMIT_CHARS)))
}

/// When it was, for who never heard that it was.
fn belated(notice: &Notice) -> Option<String> {
    if !notice.alarm_was_lost || matches!(notice.edge, Edge::Alarm(_)) {
        return None;
    }
    let ended = notice.ended.unwrap_or(notice.decided);
    let from = civil(notice.since, "%Y-%m-%d %H:%M");
    let same_day = civil(notice.since, "%Y-%m-%d") == civil(ended, "%Y-%m-%d");
    let to = civil(ended, if same_day { "%H:%M" } else { "%Y-%m-%d %H:%M" });
    let what = if notice.check.is_some() { "It was down" } else { "It was so" };
    Some(format!("{what} {from}–{to} UTC. The alarm could not be delivered then."))
}

/// Why the next mail is long in coming.
fn postponed(notice: &Notice) -> Option<String> {
    let text =
        || format!("You will hear again when it has been well for {}.", span(flapping::STABLE));
    (notice.flapping && matches!(notice.edge, Edge::Alarm(_))).then(text)
}

/// Of what else the reader hears nothing meanwhile.
fn hushed(notice: &Notice) -> Option<String> {
    let dependents = cut(&one_line(notice.dependents.as_ref()?), FINDING_LIMIT_CHARS);
    Some(format!("Not alarmed of apart while this lasts, for they depend on it: {dependents}."))
}

fn facts(notice: &Notice) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name, value| facts.push(Fact { name, value });
    let ended = notice.ended.unwrap_or(notice.decided);
    match notice.edge {
        Edge::Recovery => {
            fact("Lasted", span(ended.since(notice.since)));
            fact("From", second(notice.since));
            fact("To", second(ended));
        }
        Edge::Removed => {
            fact("Since", second(notice.since));
            fact("Removed", second(ended));
        }
        Edge::Alarm(_) => {
            let later = span(notice.decided.since(notice.since));
            fact("Since", second(notice.since));
            let what = if notice.check.is_some() { "the first failing run" } else { "that" };
            fact("Decided", format!("{later} after {what}"));
        }
    }
    fact("Severity", notice.severity.to_string());
    facts
}

/// Sites by what they say, the worst first, then what most say.
fn groups(sites: &[SiteOpinion]) -> Vec<Group> {
    let mut said: BTreeMap<(u8, Option<Cause>), Vec<&SiteOpinion>> = BTreeMap::new();
    for opinion in sites {
        said.entry((rank(opinion.status), opinion.cause)).or_default().push(opinion);
    }
    let mut said: Vec<Vec<&SiteOpinion>> = said.into_values().collect();
    said.sort_by_key(|opinions| (rank(opinions[0].status), Reverse(opinions.len())));
    said.iter().map(|opinions| group(opinions, sites.len())).collect()
}

/// Sites of the same status and cause, of which there is at least one.
fn group(opinions: &[&SiteOpinion], all: usize) -> Group {
    let first = opinions[0];
    let in_common = opinions.iter().all(|opinion| opinion.detail == first.detail);
    let (full, named) = opinions.split_at(opinions.len().min(SITES_IN_FULL));
    Group {
        word: format!(
            "{} from {} of {all} {}",
            first.status.as_str().to_uppercase(),
            opinions.len(),
            if all == 1 { "site" } else { "sites" },
        ),
        color: color(first.status),
        cause: first.cause.map(Cause::explain),
        detail: if in_common { detail(first) } else { String::new() },
        sites: full
            .iter()
            .map(|opinion| Line {
                site: one_line(opinion.site.as_str()),
                place: place(opinion),
                took: took(opinion.duration_us),
                detail: if in_common { String::new() } else { detail(opinion) },
            })
            .collect(),
        more: named.iter().map(|opinion| one_line(opinion.site.as_str())).collect(),
    }
}

/// Its region and carrier; nothing for a job, which stands nowhere.
fn place(opinion: &SiteOpinion) -> String {
    let known = [&opinion.region, &opinion.carrier].into_iter().filter(|name| !name.is_empty());
    known.map(|name| one_line(name)).collect::<Vec<_>>().join(", ")
}

fn detail(opinion: &SiteOpinion) -> String {
    cut(&one_line(&opinion.detail), DETAIL_LIMIT_CHARS)
}

const fn rank(status: Status) -> u8 {
    match status {
        Status::Down => 0,
        Status::Degraded => 1,
        Status::Unknown => 2,
        Status::Up => 3,
    }
}

/// How long a run took; nothing for one that did not take place.
fn took(us: u64) -> String {
    match us {
        0 => String::new(),
        1..1_000 => "<1 ms".to_owned(),
        1_000..10_000_000 => format!("{} ms", us / 1_000),
        _ => span(Duration::from_micros(us)),
    }
}

/// A length of time in its two largest units: `3 min 12 s`.
pub(super) fn span(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for (seconds, unit) in UNITS {
        if rest >= seconds {
            parts.push(format!("{} {unit}", rest / seconds));
            rest %= seconds;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "less than 1 s".to_owned() } else { parts.join(" ") }
}

/// `2026-11-22 10:02:13 UTC`.
pub(super) fn second(at: Timestamp) -> String {
    format!("{} UTC", civil(at, "%Y-%m-%d %H:%M:%S"))
}

/// A moment in UTC, as `strftime` writes it.
fn civil(at: Timestamp, format: &str) -> String {
    i64::try_from(at.as_millis())
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| at.to_string(), |moment| moment.strftime(format).to_string())
}

/// A fragment, such as summaries are, as a sentence.
pub(super) fn sentence(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let Some(first) = chars.next() else { return String::new() };
    let stop = if fragment.ends_with(['.', '!', '?', '。']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}
