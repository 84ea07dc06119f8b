//! States of a cluster to show: one function each, for the tests and for looking at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_coordinator::history::{Day, LatencyPoint, Row};
use crosscheck_coordinator::page::{Freshness, ReadError, Reader, Readings, Stretch};
use crosscheck_core::State;
use crosscheck_core::audit::Entry;
use crosscheck_core::command::Window;
use crosscheck_core::domain::Troubled;
use crosscheck_core::incident::{Acknowledgement, Event, EventKind, Incident, Subject};
use crosscheck_core::outbox::{Edge, Key, Notice, Owed, Progress, SiteOpinion};
use crosscheck_core::quorum::Domain;
use crosscheck_core::state::{CheckState, ProbeState, Vote};
use crosscheck_core::verdict::{Reason, Tally, Verdict};
use crosscheck_model::config::{Maintenance, Page, Site};
use crosscheck_model::observation::{Firmness, Trigger};
use crosscheck_model::spec::{Rule, Schedule, SiteChoice, Source};
use crosscheck_model::wire::{Fitness, Health};
use crosscheck_model::{
    Cause, CheckId, CheckSpec, Config, Family, IncidentId, Phases, ProbeId, Severity, SiteId,
    SiteQuorum, Status, Timestamp,
};
use futures_util::stream::{self, BoxStream, StreamExt};

/// 2026-11-22T10:02:11Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_341_731_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Region and carrier of the usual five sites.
const SITES: [(&str, &str, &str); 5] = [
    ("bj-ct", "cn-north", "china-telecom"),
    ("sh-cu", "cn-east", "china-unicom"),
    ("gz-ct", "cn-south", "china-telecom"),
    ("tyo-ntt", "jp-east", "ntt"),
    ("sin-st", "sg", "singtel"),
];

/// What a hostile target may put into an answer.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script>\u{1b}[31m\u{202e}\"onmouseover=\"x\u{7}";

/// A state, with readings made up for it.
pub(crate) struct Fixture {
    /// Its name.
    pub(crate) name: &'static str,
    /// The state.
    pub(crate) state: State,
    /// It is shown by a coordinator without a quorum.
    pub(crate) minority: bool,
    /// How many days of history there are.
    pub(crate) known_days: u32,
}

impl Reader for Fixture {
    fn with_state(&self, look: &mut dyn FnMut(&State)) {
        look(&self.state);
    }

    fn readings(&self) -> &dyn Readings {
        self
    }

    fn freshness(&self) -> Freshness {
        let leader = (!self.minority).then_some(2);
        Freshness { as_of: self.state.now, minority: self.minority, node: 1, leader }
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        stream::iter([()]).chain(stream::pending()).boxed()
    }
}

impl Readings for Fixture {
    fn days(&self, check: &CheckId, until: Timestamp, days: u32) -> Result<Vec<Day>, ReadError> {
        let midnight = Timestamp::from_millis(until.as_millis() / 86_400_000 * 86_400_000);
        let date = |back: u32| {
            let at = i64::try_from(midnight.minus(back * DAY).as_millis()).unwrap_or(0);
            let moment = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
            moment.to_zoned(jiff::tz::TimeZone::UTC).date()
        };
        let noise = u32::try_from(check.as_str().len()).unwrap_or(0);
        let known = days.min(self.known_days);
        Ok((0..known)
            .rev()
            .map(|back| {
                let passed = if back == 0 { until.since(midnight) } else { DAY };
                made_up_day(date(back), back + noise, passed)
            })
            .collect())
    }

    fn latency(
        &self,
        check: &CheckId,
        during: Stretch,
        parts: u32,
    ) -> Result<Vec<LatencyPoint>, ReadError> {
        if self.known_days == 0 {
            return Ok(Vec::new());
        }
        let step = during.to.since(during.from) / parts;
        let probes = self.state.checks.get(check).map(|check| &check.assigned);
        let here = |probe| Some(&self.state.probes.get(probe)?.site);
        let sites: BTreeSet<&SiteId> = probes.into_iter().flatten().filter_map(here).collect();
        let points = sites.iter().zip(0_u32..).flat_map(|(site, n)| {
            (0..parts).filter_map(move |part| made_up_point(site, n, part, during.from, step))
        });
        Ok(points.collect())
    }

    fn observations(
        &self,
        _: &CheckId,
        site: Option<&SiteId>,
        during: Stretch,
        limit: u32,
    ) -> Result<Vec<Row>, ReadError> {
        let rows = (0_u32..).map(|n| made_up_row(during.to.minus((n + 1) * MINUTE), n));
        let within = rows.take_while(|row| row.started >= during.from);
        let wanted = within.filter(|row| site.is_none_or(|site| *site == row.site));
        Ok(wanted.take(usize::try_from(limit).unwrap_or(0)).collect())
    }

    fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let behind = self.state.audit.entries().filter(|entry| entry.index > after);
        Ok(behind.take(limit).cloned().collect())
    }
}

/// A day in which now and then something happened.
fn made_up_day(date: jiff::civil::Date, seed: u32, passed: Duration) -> Day {
    let none = Duration::ZERO;
    let (degraded, down, unknown, maintenance, no_data) = match seed {
        n if n % 53 == 20 => (none, none, none, none, passed),
        n if n % 41 == 12 => (none, 47 * MINUTE, 4 * MINUTE, none, none),
        n if n % 37 == 30 => (2 * HOUR, none, none, none, none),
        n if n % 29 == 17 => (none, none, 3 * HOUR, none, none),
        n if n % 23 == 9 => (none, none, none, 2 * HOUR, none),
        _ => (none, none, none, none, none),
    };
    let up = passed.saturating_sub(degraded + down + unknown + maintenance + no_data);
    Day { date, up, degraded, down, unknown, maintenance, no_data }
}

/// A site's run times; two gaps, and failures in the third line.
fn made_up_point(
    site: &SiteId,
    n: u32,
    part: u32,
    from: Timestamp,
    step: Duration,
) -> Option<LatencyPoint> {
    let is_gap = (30..36).contains(&part) || (n == 1 && (60..70).contains(&part));
    if is_gap {
        return None;
    }
    let wave = u64::from((part * 7 + n * 13) % 17) + u64::from(part % 24);
    let failed = if n == 2 && (50..53).contains(&part) { 6 } else { 0 };
    let p50 = Duration::from_micros(18_000 + u64::from(n) * 21_000 + wave * 700);
    let at = from.plus(part * step);
    let (p95, max) = (p50 * 3 / 2, p50 * 4);
    Some(LatencyPoint { site: site.clone(), at, count: 15, failed, p50, p95, max })
}

/// A run; each seventh failed.
fn made_up_row(started: Timestamp, n: u32) -> Row {
    let (id, _, _) = SITES[usize::try_from(n).unwrap_or(0) % SITES.len()];
    let fails = n % 7 == 6;
    Row {
        probe: ProbeId::new(format!("{id}-1")),
        site: id.into(),
        started,
        at: started.plus(Duration::from_millis(120)),
        status: if fails { Status::Down } else { Status::Up },
        cause: fails.then_some(Cause::Status),
        detail: if fails { "status 500, wanted 200".to_owned() } else { String::new() },
        excerpt: if fails { HOSTILE.to_owned() } else { String::new() },
        duration: Duration::from_micros(120_345),
        phases: Phases::default(),
        trigger: Trigger::Schedule,
        firmness: Firmness::Hard,
        address: Some("198.51.100.7:443".to_owned()),
    }
}

/// A check's settings.
fn spec(name: &str, customer: Option<&str>) -> CheckSpec {
    let customer = customer.map(Into::into);
    CheckSpec {
        id: CheckId::of(customer.as_ref(), name),
        name: name.to_owned(),
        customer,
        kind: "http".to_owned(),
        settings: "{}".to_owned(),
        target: format!("https://{}.example.com/", name.replace(' ', "-")),
        source: Source::Probes,
        family: Family::V4,
        schedule: Schedule {
            interval: MINUTE,
            retry_interval: MINUTE,
            timeout: Duration::from_secs(10),
            attempts: 2,
            attempt_gap: Duration::from_secs(3),
        },
        rule: Rule::Consecutive(1),
        severity: Severity::Disaster,
        sites: SiteChoice::All,
        quorum: SiteQuorum::Diverse,
        runbook: None,
        depends_on: Vec::new(),
        recovery_hold: MINUTE,
    }
}

/// What a probe says.
fn vote(status: Status, n: u64) -> Vote {
    let (cause, detail) = match status {
        Status::Down => (Some(Cause::Status), format!("status 500, wanted 200: {HOSTILE}")),
        Status::Degraded => (Some(Cause::Slow), "3.4 s, wanted 3 s".to_owned()),
        _ => (None, String::new()),
    };
    let at = NOW.minus(Duration::from_secs(7 + n * 9 % 50));
    Vote {
        boot: 1,
        seq: 1,
        rev: 1,
        status,
        cause,
        detail,
        started: at.minus(Duration::from_millis(300)),
        at,
        failing_since: (status == Status::Down).then(|| NOW.minus(12 * MINUTE)),
        duration_us: 18_400 + n * 31_730,
    }
}

/// A cluster with these sites and nothing to check.
fn cluster(sites: &[(String, String, String)]) -> State {
    let mut state = State { now: NOW, cluster: "c1".to_owned(), revision: 4, ..State::default() };
    for (id, region, carrier) in sites {
        let site = Site { region: region.clone(), carrier: carrier.clone() };
        state.config.sites.insert(SiteId::new(id), site);
        state.probes.insert(ProbeId::new(format!("{id}-1")), probe(id));
    }
    state
}

/// A probe that is well.
fn probe(site: &str) -> ProbeState {
    ProbeState {
        site: site.into(),
        version: "0.1.0".to_owned(),
        epoch: 1,
        boot: 1,
        opened_at: Timestamp::ZERO,
        report_seq: 900,
        echo: NOW.minus(Duration::from_secs(2)),
        health: Health { v4: Fitness::Fit, ..Health::UNTESTED },
        spooled: 0,
        dropped: 0,
        running: 12,
        assignment: 1,
        suspect: None,
        doubted_since: None,
        calm_since: None,
        troubled_since: None,
        incident: None,
        excused_until: Timestamp::ZERO,
    }
}

fn usual_sites() -> Vec<(String, String, String)> {
    SITES.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

/// Adds a check; `says` gives each site's vote, `None` for a site that has not voted.
fn add(
    state: &mut State,
    spec: CheckSpec,
    verdict: (Status, Reason),
    says: impl Fn(&str) -> Option<Status>,
) -> CheckId {
    let id = spec.id.clone();
    let since = if verdict.0 == Status::Up { NOW.minus(3 * DAY) } else { NOW.minus(11 * MINUTE) };
    let assigned: BTreeSet<ProbeId> = state.probes.keys().cloned().collect();
    let ballots = assigned.iter().zip(0_u64..);
    let votes = ballots
        .filter_map(|(probe, n)| {
            let site = state.probes.get(probe)?.site.as_str();
            Some((probe.clone(), vote(says(site)?, n)))
        })
        .collect();
    let check = CheckState {
        spec: spec.clone(),
        rev: 1,
        assigned,
        former: BTreeMap::new(),
        votes,
        verdict: Verdict { status: verdict.0, reason: verdict.1 },
        since,
        maintenance: false,
        tally: Tally::default(),
        failed_from: None,
        confirm_wanted: false,
        settling_until: Timestamp::ZERO,
        drawn: None,
        gap: false,
        edges: Vec::new(),
        last_down: None,
        reports: Default::default(),
        incident: None,
        closed_at: Timestamp::ZERO,
        confirmed_at: Timestamp::ZERO,
    };
    state.config.checks.push(spec);
    state.checks.insert(id.clone(), check);
    id
}

const NAMES: [&str; 12] = [
    "shop home",
    "order api",
    "search",
    "login",
    "payment gateway",
    "image store",
    "mail server",
    "name server",
    "mysql port",
    "partner feed",
    "mobile api",
    "help centre",
];

fn healthy() -> State {
    let mut state = cluster(&usual_sites());
    for name in NAMES {
        add(&mut state, spec(name, None), (Status::Up, Reason::Working), |_| Some(Status::Up));
    }
    state.config.pages.insert(
        "public".to_owned(),
        Page {
            title: "Acme status".to_owned(),
            checks: vec!["shop home".into(), "order api".into(), "login".into()],
        },
    );
    past_incident(&mut state, 3, "search", 2 * DAY, 47 * MINUTE);
    past_incident(&mut state, 4, "login", 9 * HOUR, 4 * MINUTE);
    state
}

/// What a site said when a decision was made.
fn opinion((site, region, carrier): &(&str, &str, &str), status: Status) -> SiteOpinion {
    let vote = vote(status, 2);
    SiteOpinion {
        site: (*site).into(),
        region: (*region).to_owned(),
        carrier: (*carrier).to_owned(),
        status,
        cause: vote.cause,
        detail: vote.detail,
        duration_us: 82_000,
        at: NOW.minus(11 * MINUTE),
    }
}

fn event(ago: Duration, kind: EventKind, text: &str, sites: Vec<SiteOpinion>) -> Event {
    Event { at: NOW.minus(ago), kind, text: text.to_owned(), sites }
}

fn incident(id: u64, subject: Subject, status: Status) -> Incident {
    Incident {
        id: IncidentId(id),
        subject,
        target: String::new(),
        customer: None,
        severity: Severity::Disaster,
        status,
        summary: String::new(),
        finding: None,
        opened_at: NOW.minus(11 * MINUTE),
        first_failed_at: NOW.minus(12 * MINUTE),
        acknowledged: None,
        resolved_at: None,
        timeline: Vec::new(),
        checks: Vec::new(),
        told: Vec::new(),
        inhibited: BTreeMap::new(),
        inhibited_by: Vec::new(),
        flapping: false,
    }
}

fn past_incident(state: &mut State, id: u64, check: &str, ago: Duration, lasted: Duration) {
    let mut past = incident(id, Subject::Check(check.into()), Status::Up);
    past.target = format!("https://{check}.example.com/");
    past.summary = "4 of 5 sites said Down: the status code is not one of those wanted".to_owned();
    past.first_failed_at = NOW.minus(ago + lasted);
    past.opened_at = NOW.minus(ago + lasted - MINUTE);
    past.resolved_at = Some(NOW.minus(ago));
    past.timeline = vec![
        event(ago + lasted, EventKind::FirstFailure, "sh-cu saw the first failing run", Vec::new()),
        event(ago, EventKind::Resolved, "5 of 5 sites say Up for two rounds", Vec::new()),
    ];
    state.incidents.insert(past.id, past);
}

fn replace(state: &mut State, name: &str, verdict: (Status, Reason), down: &[&str]) {
    let id = add(state, spec(name, None), verdict, |site| {
        Some(if down.contains(&site) { Status::Down } else { Status::Up })
    });
    state.config.checks.pop();
    state.checks.entry(id).and_modify(|check| check.since = NOW.minus(11 * MINUTE));
}

/// All is well.
pub(crate) fn all_up() -> Fixture {
    Fixture { name: "all-up", state: healthy(), minority: false, known_days: 90 }
}

/// One check is down from four of five sites; somebody is at it.
pub(crate) fn one_down() -> Fixture {
    let mut state = healthy();
    let down = ["bj-ct", "sh-cu", "gz-ct", "tyo-ntt"];
    replace(&mut state, "order api", (Status::Down, Reason::Failing), &down);
    let mut open = incident(7, Subject::Check("order api".into()), Status::Down);
    open.target = "https://order-api.example.com/".to_owned();
    open.summary = "4 of 5 sites say Down: status 500, wanted 200".to_owned();
    open.finding = Some("status 500 at 4 of 5 sites: the application".to_owned());
    let at = NOW.minus(9 * MINUTE);
    let (by, note) = ("li@example.com".to_owned(), "restarting the pool".to_owned());
    open.acknowledged = Some(Acknowledgement { by, at, note });
    let says = |site: &(&str, &str, &str)| {
        opinion(site, if down.contains(&site.0) { Status::Down } else { Status::Up })
    };
    open.timeline = vec![
        event(12 * MINUTE, EventKind::FirstFailure, "sh-cu saw the first failing run", Vec::new()),
        event(
            11 * MINUTE,
            EventKind::Opened,
            "4 of 5 sites say Down: status 500, wanted 200",
            SITES.iter().map(says).collect(),
        ),
        event(11 * MINUTE, EventKind::Notified, "mail to li@example.com", Vec::new()),
        event(10 * MINUTE, EventKind::Delivered, "mail to li@example.com", Vec::new()),
        event(9 * MINUTE, EventKind::Acknowledged, "li@example.com: restarting", Vec::new()),
    ];
    let owed = owed(&open);
    state.outbox.insert(owed.key, owed);
    state.checks.entry("order api".into()).and_modify(|check| check.incident = Some(open.id));
    state.incidents.insert(open.id, open);
    Fixture { name: "one-down", state, minority: false, known_days: 90 }
}

fn owed(incident: &Incident) -> Owed {
    Owed {
        key: Key([7; 16]),
        contact: "ops".into(),
        channel: "mail".to_owned(),
        notice: Notice {
            incident: incident.id,
            edge: Edge::Alarm(Status::Down),
            severity: incident.severity,
            check: Some("order api".into()),
            target: incident.target.clone(),
            summary: incident.summary.clone(),
            finding: incident.finding.clone(),
            since: incident.first_failed_at,
            decided: incident.opened_at,
            ended: None,
            sites: Vec::new(),
            dependents: None,
            runbook: None,
            link: None,
            thread: None,
            alarm_was_lost: false,
            flapping: false,
            drill: false,
        },
        progress: Progress::Retry { at: NOW.plus(MINUTE) },
        attempts: 2,
        ambiguous: 1,
        created: incident.opened_at,
        after: Vec::new(),
        reached: Vec::new(),
        bounced: std::collections::BTreeSet::new(),
        last_error: Some("450 greylisted, come back later".to_owned()),
        rerouted: false,
        told_in: None,
        tells: Vec::new(),
    }
}

/// Targets fail from one carrier only, and one is slow.
pub(crate) fn partial() -> Fixture {
    let mut state = healthy();
    let carrier = Domain::Carrier("china-telecom".to_owned());
    for name in ["shop home", "image store"] {
        let reason = Reason::Partial(carrier.clone());
        replace(&mut state, name, (Status::Degraded, reason), &["bj-ct", "gz-ct"]);
    }
    replace(&mut state, "search", (Status::Degraded, Reason::Mixed), &["sh-cu", "sin-st"]);
    let mut open = incident(8, Subject::Domain(carrier.clone()), Status::Degraded);
    open.severity = Severity::Warning;
    open.summary = "2 checks fail only from carrier china-telecom".to_owned();
    open.checks = vec!["shop home".into(), "image store".into()];
    open.timeline = vec![event(11 * MINUTE, EventKind::Opened, &open.summary, Vec::new())];
    state.domains.insert(carrier, Troubled { incident: open.id, calm_since: None });
    state.incidents.insert(open.id, open);
    Fixture { name: "partial", state, minority: false, known_days: 90 }
}

/// Most sites are silent or unfit, so that nobody can judge.
pub(crate) fn blind() -> Fixture {
    let mut state = healthy();
    for (site, silent) in [("bj-ct", true), ("sh-cu", true), ("gz-ct", false)] {
        state.probes.entry(ProbeId::new(format!("{site}-1"))).and_modify(|probe| {
            if silent {
                probe.echo = NOW.minus(5 * MINUTE);
            } else {
                probe.health.v4 = Fitness::Unfit("2 of 3 references do not answer".to_owned());
            }
        });
    }
    for name in NAMES {
        replace(&mut state, name, (Status::Unknown, Reason::Blind), &[]);
    }
    replace(&mut state, "login", (Status::Unknown, Reason::Suspect), &["tyo-ntt", "sin-st"]);
    let mut open = incident(9, Subject::Blind, Status::Unknown);
    open.severity = Severity::High;
    open.summary = "12 checks have too few live sites for any answer".to_owned();
    open.checks = NAMES.iter().map(|name| (*name).into()).collect();
    open.timeline = vec![event(11 * MINUTE, EventKind::Opened, &open.summary, Vec::new())];
    state.blind.extend(open.checks.iter().map(|check| (check.clone(), open.id)));
    state.incidents.insert(open.id, open);
    Fixture { name: "blind", state, minority: false, known_days: 90 }
}

/// Planned work now and to come.
pub(crate) fn maintenance() -> Fixture {
    let mut state = healthy();
    let window =
        crosscheck_model::config::Window::Every { days: vec![7], from_minute: 120, to_minute: 240 };
    for (checks, reason) in [("mysql*", "Move the database to new disks"), ("*", "Weekly release")]
    {
        state.config.maintenance.push(Maintenance {
            checks: vec![checks.to_owned()],
            customer: None,
            when: window.clone(),
            zone: "Asia/Shanghai".to_owned(),
            reason: reason.to_owned(),
        });
    }
    state.windows = vec![
        Window { rule: 0, from: NOW.minus(HOUR), to: NOW.plus(HOUR) },
        Window { rule: 1, from: NOW.plus(3 * DAY), to: NOW.plus(3 * DAY + 2 * HOUR) },
        Window { rule: 1, from: NOW.plus(30 * DAY), to: NOW.plus(30 * DAY + 2 * HOUR) },
    ];
    replace(&mut state, "mysql port", (Status::Down, Reason::Failing), &["bj-ct", "sh-cu"]);
    state.checks.entry("mysql port".into()).and_modify(|check| check.maintenance = true);
    Fixture { name: "maintenance", state, minority: false, known_days: 90 }
}

/// A coordinator that is cut off from its peers.
pub(crate) fn stale() -> Fixture {
    Fixture { name: "stale", minority: true, ..one_down() }
}

/// Just installed: nothing configured.
pub(crate) fn empty() -> Fixture {
    let state = State { now: NOW, config: Config::default(), ..State::default() };
    Fixture { name: "empty", state, minority: false, known_days: 0 }
}

/// Just configured: no result yet.
pub(crate) fn fresh() -> Fixture {
    let mut state = cluster(&usual_sites());
    for name in ["shop home", "order api", "mail server"] {
        add(&mut state, spec(name, None), (Status::Unknown, Reason::New), |_| None);
    }
    Fixture { name: "fresh", state, minority: false, known_days: 0 }
}

/// Many sites, one of which disagrees.
pub(crate) fn many_sites() -> Fixture {
    let sites: Vec<_> = (1..=25)
        .map(|n| {
            (format!("site-{n:02}"), format!("region-{}", n % 7), format!("carrier-{}", n % 5))
        })
        .collect();
    let mut state = cluster(&sites);
    for name in ["shop home", "order api", "search"] {
        add(&mut state, spec(name, Some("acme")), (Status::Up, Reason::Working), |site| {
            Some(if site == "site-13" { Status::Down } else { Status::Up })
        });
    }
    Fixture { name: "many-sites", state, minority: false, known_days: 60 }
}

/// Many checks of two customers; a few in trouble.
pub(crate) fn many_checks(count: usize) -> Fixture {
    let mut state = cluster(&usual_sites());
    for n in 0..count {
        let customer = if n % 2 == 0 { "acme" } else { "globex" };
        let (verdict, status) = match n {
            17 => ((Status::Down, Reason::Failing), Status::Down),
            18 => ((Status::Degraded, Reason::Slow), Status::Degraded),
            _ => ((Status::Up, Reason::Working), Status::Up),
        };
        let spec = spec(&format!("service {n:03} front page"), Some(customer));
        add(&mut state, spec, verdict, |_| Some(status));
    }
    Fixture { name: "many-checks", state, minority: false, known_days: 90 }
}

/// Two customers who must not learn of each other: whatever is one's has its name in it.
pub(crate) fn two_customers() -> Fixture {
    let sites: Vec<_> = ["acme", "globex"]
        .map(|who| (format!("{who}-dc"), format!("{who}-region"), format!("{who}-carrier")))
        .into();
    let mut state = cluster(&sites);
    let mut wide = incident(3, Subject::Domain(Domain::Carrier("ntt".into())), Status::Degraded);
    for (n, who) in [(1, "acme"), (2, "globex")] {
        let name = format!("{who}-shop");
        let reason = (Status::Down, Reason::Failing);
        let id = add(&mut state, spec(&name, Some(who)), reason, |_| Some(Status::Down));
        let mut open = incident(n, Subject::Check(id.clone()), Status::Down);
        open.customer = Some(who.into());
        open.target = format!("https://{who}.example.com/");
        open.summary = format!("{who}-shop is down");
        open.timeline = vec![event(MINUTE, EventKind::Opened, &open.summary, Vec::new())];
        let mut owed = owed(&open);
        owed.key = Key([u8::try_from(n).unwrap_or(0); 16]);
        owed.contact = format!("{who}-people").as_str().into();
        owed.notice.check = Some(id.clone());
        state.outbox.insert(owed.key, owed);
        let rules = state.config.maintenance.len();
        state.config.maintenance.push(Maintenance {
            checks: vec!["*".to_owned()],
            customer: Some(who.into()),
            when: crosscheck_model::config::Window::Once { from: String::new(), to: String::new() },
            zone: "UTC".to_owned(),
            reason: format!("{who}-works"),
        });
        let rule = u32::try_from(rules).unwrap_or(0);
        state.windows.push(Window { rule, from: NOW.plus(HOUR), to: NOW.plus(2 * HOUR) });
        if let Some(check) = state.checks.get_mut(&id) {
            check.incident = Some(open.id);
            check.assigned.retain(|probe| probe.as_str().starts_with(who));
            check.votes.retain(|probe, _| probe.as_str().starts_with(who));
        }
        let title = format!("{who}-title");
        state.config.pages.insert(format!("{who}-page"), Page { title, checks: vec![id.clone()] });
        state.incidents.insert(open.id, open);
        wide.checks.push(id);
    }
    wide.summary = "fails only from carrier ntt: acme/acme-shop, globex/globex-shop".to_owned();
    wide.timeline = vec![event(MINUTE, EventKind::Opened, &wide.summary, Vec::new())];
    state.outbox.insert(Key([9; 16]), Owed { key: Key([9; 16]), ..owed(&wide) });
    state.incidents.insert(wide.id, wide);
    Fixture { name: "two-customers", state, minority: false, known_days: 3 }
}

/// All of them.
pub(crate) fn all() -> Vec<Fixture> {
    vec![
        all_up(),
        one_down(),
        partial(),
        blind(),
        maintenance(),
        stale(),
        empty(),
        fresh(),
        many_sites(),
        many_checks(200),
        two_customers(),
    ]
}

/// Days of one check, as the history would give them.
pub(crate) fn by_name() -> BTreeMap<&'static str, Fixture> {
    all().into_iter().map(|fixture| (fixture.name, fixture)).collect()
}
