//! `/api/v1/checks/{check}/..`: observations, run times and availability, from the history.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use crosscheck_model::observation::{Firmness, Trigger};
use crosscheck_model::{Cause, CheckId, SiteId, Status, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Answer, ApiError, Asked, milliseconds, read};
use crate::history::{Day, LatencyPoint, Row};
use crate::operator::Caller;
use crate::page::{PAGE_DAYS, RULE, Reader, Stretch, Total, ask};

/// The stretch of time when none is asked for.
const STRETCH: Duration = Duration::from_secs(24 * 60 * 60);
/// Observations when no number is asked for.
const ROWS: u32 = 100;
/// The most observations in one answer: some megabytes with excerpts.
const ROWS_MOST: u32 = 5_000;
/// Parts of a stretch when no number is asked for.
const PARTS: u32 = 96;
/// The most parts: more than a screen has pixels.
const PARTS_MOST: u32 = 1_000;
/// The most days: what a report of a year needs, and a leap day.
const DAYS_MOST: u32 = 366;

/// Which observations are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ObservationsQuery {
    /// Only this site's.
    site: Option<String>,
    /// From when on; a day ago unless given.
    #[schemars(with = "Option<String>")]
    from: Option<Timestamp>,
    /// Until when; now unless given.
    #[schemars(with = "Option<String>")]
    to: Option<Timestamp>,
    /// How many, at most 5000.
    limit: Option<u32>,
}

/// Which run times are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct LatencyQuery {
    /// From when on; a day ago unless given.
    #[schemars(with = "Option<String>")]
    from: Option<Timestamp>,
    /// Until when; now unless given.
    #[schemars(with = "Option<String>")]
    to: Option<Timestamp>,
    /// In how many parts, at most 1000.
    parts: Option<u32>,
}

/// Which days are wanted.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct AvailabilityQuery {
    /// How many days up to today, at most 366; 90 unless given.
    days: Option<u32>,
}

/// What one run saw.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Observation {
    site: String,
    probe: String,
    /// When the run began.
    #[schemars(with = "String")]
    started: Timestamp,
    /// When it ended.
    #[schemars(with = "String")]
    at: Timestamp,
    status: Status,
    /// Why it is not up.
    cause: Option<Cause>,
    /// The cause in this case's words.
    detail: String,
    /// The beginning of what came back, when it is not up.
    excerpt: String,
    duration_ms: f64,
    /// The parts of it: `dns`, `connect`, `tls`, `send`, `first_byte`, `transfer`.
    phases_ms: BTreeMap<&'static str, f64>,
    /// The address connected to.
    address: Option<String>,
    /// Why it ran: `schedule`, `retry` or `confirm`.
    #[schemars(with = "String")]
    trigger: Trigger,
    /// Whether it was a vote: `soft` or `hard`.
    #[schemars(with = "String")]
    firmness: Firmness,
}

impl Observation {
    fn new(row: Row) -> Self {
        let phases = row.phases.iter();
        Self {
            site: row.site.to_string(),
            probe: row.probe.to_string(),
            started: row.started,
            at: row.at,
            status: row.status,
            cause: row.cause,
            detail: row.detail,
            excerpt: row.excerpt,
            duration_ms: milliseconds(row.duration),
            phases_ms: phases.map(|(phase, time)| (phase.as_str(), milliseconds(time))).collect(),
            address: row.address,
            trigger: row.trigger,
            firmness: row.firmness,
        }
    }
}

/// Run times per site.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Latency {
    check: String,
    #[schemars(with = "String")]
    from: Timestamp,
    #[schemars(with = "String")]
    to: Timestamp,
    /// Each site's in the order of time; parts without runs are left out.
    points: Vec<Point>,
}

/// The run times of one site in one part.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Point {
    site: String,
    /// When the part begins.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Runs.
    count: u32,
    /// Runs that were down.
    failed: u32,
    /// Half of the others took no longer; null when all failed.
    p50_ms: Option<f64>,
    /// 95 % of them took no longer.
    p95_ms: Option<f64>,
    /// The slowest.
    max_ms: Option<f64>,
}

impl Point {
    fn new(point: &LatencyPoint) -> Self {
        let answered = point.count > point.failed;
        let time = |time| answered.then(|| milliseconds(time));
        Self {
            site: point.site.to_string(),
            at: point.at,
            count: point.count,
            failed: point.failed,
            p50_ms: time(point.p50),
            p95_ms: time(point.p95),
            max_ms: time(point.max),
        }
    }
}

/// Availability over several days.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Availability {
    check: String,
    /// Percent, rounded down to three decimals; null without confirmed time.
    availability_percent: Option<f64>,
    /// How it is computed.
    rule: &'static str,
    /// The whole, in seconds.
    total_s: Seconds,
    /// Each UTC day, oldest first.
    days: Vec<DayShare>,
}

/// How time was spent, in seconds.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Seconds {
    up: f64,
    degraded: f64,
    down: f64,
    unknown: f64,
    maintenance: f64,
    no_data: f64,
}

/// One day.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DayShare {
    /// `2026-11-22`.
    date: String,
    availability_percent: Option<f64>,
    spent_s: Seconds,
}

impl Seconds {
    fn of(total: &Total) -> Self {
        Self {
            up: total.up.as_secs_f64(),
            degraded: total.degraded.as_secs_f64(),
            down: total.down.as_secs_f64(),
            unknown: total.unknown.as_secs_f64(),
            maintenance: total.maintenance.as_secs_f64(),
            no_data: total.no_data.as_secs_f64(),
        }
    }
}

impl DayShare {
    fn new(day: &Day) -> Self {
        let total = Total::of(std::slice::from_ref(day));
        Self {
            date: day.date.to_string(),
            availability_percent: total.share().map(|share| share.percent()),
            spent_s: Seconds::of(&total),
        }
    }
}

/// `GET /api/v1/checks/{check}/observations`.
pub(super) async fn observations(
    Shared(api): Shared<Api>,
    Path(check): Path<String>,
    caller: Caller,
    Asked(query): Asked<ObservationsQuery>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let id = known(reader, &caller, check)?;
        let during = stretch(reader, query.from, query.to)?;
        let limit = query.limit.unwrap_or(ROWS).clamp(1, ROWS_MOST);
        let site = query.site.map(SiteId::new);
        let rows = reader.readings().observations(&id, site.as_ref(), during, limit)?;
        Answer::new(&rows.into_iter().map(Observation::new).collect::<Vec<_>>(), &headers)
    })
    .await
}

/// `GET /api/v1/checks/{check}/latency`.
pub(super) async fn latency(
    Shared(api): Shared<Api>,
    Path(check): Path<String>,
    caller: Caller,
    Asked(query): Asked<LatencyQuery>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let id = known(reader, &caller, check)?;
        let during = stretch(reader, query.from, query.to)?;
        let parts = query.parts.unwrap_or(PARTS).clamp(1, PARTS_MOST);
        let points = reader.readings().latency(&id, during, parts)?;
        let points = points.iter().map(Point::new).collect();
        let Stretch { from, to } = during;
        Answer::new(&Latency { check: id.to_string(), from, to, points }, &headers)
    })
    .await
}

/// `GET /api/v1/checks/{check}/availability`.
pub(super) async fn availability(
    Shared(api): Shared<Api>,
    Path(check): Path<String>,
    caller: Caller,
    Asked(query): Asked<AvailabilityQuery>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    read(api, move |reader| {
        let id = known(reader, &caller, check)?;
        let count = query.days.unwrap_or(PAGE_DAYS as u32).clamp(1, DAYS_MOST);
        let days = reader.readings().days(&id, reader.freshness().as_of, count)?;
        let total = Total::of(&days);
        let answer = Availability {
            check: id.to_string(),
            availability_percent: total.share().map(|share| share.percent()),
            rule: RULE,
            total_s: Seconds::of(&total),
            days: days.iter().map(DayShare::new).collect(),
        };
        Answer::new(&answer, &headers)
    })
    .await
}

/// The check's id, if there is such a check for the caller.
fn known(reader: &dyn Reader, caller: &Caller, check: String) -> Result<CheckId, ApiError> {
    let id = CheckId::new(check);
    let exists =
        ask(reader, |state| state.checks.get(&id).is_some_and(|check| caller.sight.sees(check)));
    if exists { Ok(id) } else { Err(ApiError::no_check(&id)) }
}

/// The stretch asked for: the last day where nothing else is said.
fn stretch(
    reader: &dyn Reader,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Stretch, ApiError> {
    // A run that ends with the newest log entry is still within.
    let to = to.unwrap_or_else(|| reader.freshness().as_of.plus(Duration::from_millis(1)));
    let from = from.unwrap_or_else(|| to.minus(STRETCH));
    if from >= to {
        return Err(ApiError::bad("`from` is not before `to`", "give an earlier `from`"));
    }
    Ok(Stretch { from, to })
}
