//! The result of a run as one line of JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use crosscheck_checks::kind::part::Part;
use crosscheck_model::{Cause, CheckSpec, Outcome, Phase, Phases, Status};
use serde::Serialize;

use crate::command::json;

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    kind: &'a str,
    status: Status,
    cause: Option<Cause>,
    detail: &'a str,
    duration_ms: f64,
    phases_ms: PhasesMs,
    address: Option<&'a str>,
    values: &'a BTreeMap<String, f64>,
    excerpt: &'a str,
    /// What the check loaded besides, as a page's elements; left out where there is no such thing.
    #[serde(skip_serializing_if = "<[Part]>::is_empty")]
    elements: &'a [Part],
}

#[derive(Serialize)]
struct PhasesMs {
    dns: Option<f64>,
    connect: Option<f64>,
    tls: Option<f64>,
    send: Option<f64>,
    first_byte: Option<f64>,
    transfer: Option<f64>,
}

impl PhasesMs {
    fn of(phases: &Phases) -> Self {
        let of = |phase| phases.get(phase).map(milliseconds);
        Self {
            dns: of(Phase::Dns),
            connect: of(Phase::Connect),
            tls: of(Phase::Tls),
            send: of(Phase::Send),
            first_byte: of(Phase::FirstByte),
            transfer: of(Phase::Transfer),
        }
    }
}

/// Milliseconds with three decimals: microseconds are what the clocks are good for.
fn milliseconds(time: Duration) -> f64 {
    const MICROS_PER_MILLI: f64 = 1000.0;
    f64::from(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)) / MICROS_PER_MILLI
}

/// Writes the line.
///
/// # Errors
/// What the writer says.
pub(super) fn write(
    out: &mut dyn Write,
    spec: &CheckSpec,
    outcome: &Outcome,
    elements: &[Part],
) -> io::Result<()> {
    let line = Line {
        name: &spec.name,
        kind: &spec.kind,
        status: outcome.status,
        cause: outcome.cause,
        detail: &outcome.detail,
        duration_ms: milliseconds(outcome.duration),
        phases_ms: PhasesMs::of(&outcome.phases),
        address: outcome.address.as_deref(),
        values: &outcome.values,
        excerpt: &outcome.excerpt,
        elements,
    };
    json::line(out, &line)
}
