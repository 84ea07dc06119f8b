//! `/metrics`: what a probe counts about itself, in Prometheus' text format 0.0.4.

use std::io;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crosscheck_model::wire::Fitness;
use tokio::net::TcpListener;

use crate::exposition::{CONTENT_TYPE, Exposition};
use crate::figures::{Figures, LATENESS_BOUNDS};
use crate::shell::Remote;

/// Serves `/metrics` until the task is dropped.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, probe: Remote) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(metrics)).with_state(probe);
    axum::serve(listener, router).await
}

async fn metrics(State(probe): State<Remote>) -> Response {
    match probe.figures().await {
        Some(figures) => {
            let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
            (kind, text(&figures, probe.held())).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "the probe is ending\n").into_response(),
    }
}

/// The figures as text; `held` checks are held back.
pub fn text(figures: &Figures, held: usize) -> String {
    let mut out = Exposition::new("crosscheck_probe");
    out.head("runs_total", "counter", "Runs by kind of check and status.");
    for ((kind, status), count) in &figures.runs {
        out.line("runs_total", &[("kind", kind), ("status", status.as_str())], *count as f64);
    }
    let late = &figures.lateness;
    let about = "How late runs began.";
    out.histogram("lateness_seconds", about, &LATENESS_BOUNDS, &late.buckets, late.sum);
    let missed = figures.missed;
    for (name, kind, about, value) in [
        (
            "dropped_runs_total",
            "counter",
            "Slots missed: the probe was too busy.",
            missed.dropped as f64,
        ),
        (
            "skipped_runs_total",
            "counter",
            "Slots skipped: the run before was still going.",
            missed.skipped as f64,
        ),
        ("checks", "gauge", "Assigned checks.", figures.checks as f64),
        ("held_checks", "gauge", "Checks held back: the process died with them.", held as f64),
        ("running", "gauge", "Runs under way.", figures.running as f64),
        ("live_observations", "gauge", "Observations waiting in memory.", figures.live as f64),
        (
            "spooled_observations",
            "gauge",
            "Observations waiting in the spool.",
            figures.spooled as f64,
        ),
        (
            "dropped_observations_total",
            "counter",
            "Observations lost to the spool's bound.",
            figures.dropped as f64,
        ),
        (
            "session",
            "gauge",
            "Whether there is a session (1) or not (0).",
            f64::from(u8::from(figures.session_age.is_some())),
        ),
    ] {
        out.one(name, kind, about, value);
    }
    for (name, about, value) in [
        ("session_age_seconds", "How old the session is.", figures.session_age),
        ("report_round_trip_seconds", "How long the newest report took.", figures.round_trip),
    ] {
        if let Some(value) = value {
            out.one(name, "gauge", about, value.as_secs_f64());
        }
    }
    fitness(&mut out, figures);
    out.into_text()
}

fn fitness(out: &mut Exposition, figures: &Figures) {
    out.head("fit", "gauge", "Whether the probe is fit (1) or withholds votes (0), where tested.");
    let health = &figures.health;
    for (what, fitness) in [("v4", &health.v4), ("v6", &health.v6), ("names", &health.names)] {
        match fitness {
            Fitness::Untested => {}
            Fitness::Fit => out.line("fit", &[("of", what)], 1.0),
            Fitness::Unfit(_) => out.line("fit", &[("of", what)], 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Lateness;
    use crate::schedule::Missed;
    use crosscheck_model::Status;
    use crosscheck_model::wire::Health;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn figures_as_prometheus_reads_them() {
        let mut lateness = Lateness::default();
        lateness.add(Duration::from_millis(3));
        lateness.add(Duration::from_secs(60));
        let figures = Figures {
            runs: BTreeMap::from([(("ht\"tp".to_owned(), Status::Down), 3)]),
            lateness,
            missed: Missed { skipped: 1, dropped: 2 },
            checks: 4,
            running: 5,
            live: 6,
            spooled: 7,
            dropped: 8,
            session_age: None,
            reached: Duration::from_secs(90),
            round_trip: Some(Duration::from_millis(250)),
            health: Health {
                v4: Fitness::Unfit("why".into()),
                v6: Fitness::Fit,
                names: Fitness::Untested,
            },
            complaint: None,
        };
        let text = text(&figures, 9);
        for line in [
            "crosscheck_probe_runs_total{kind=\"ht\\\"tp\",status=\"down\"} 3",
            "crosscheck_probe_lateness_seconds_bucket{le=\"0.0025\"} 0",
            "crosscheck_probe_lateness_seconds_bucket{le=\"0.005\"} 1",
            "crosscheck_probe_lateness_seconds_bucket{le=\"+Inf\"} 2",
            "crosscheck_probe_lateness_seconds_sum 60.003",
            "crosscheck_probe_dropped_runs_total 2",
            "crosscheck_probe_skipped_runs_total 1",
            "crosscheck_probe_spooled_observations 7",
            "crosscheck_probe_dropped_observations_total 8",
            "crosscheck_probe_session 0",
            "crosscheck_probe_held_checks 9",
            "crosscheck_probe_report_round_trip_seconds 0.25",
            "crosscheck_probe_fit{of=\"v4\"} 0",
            "crosscheck_probe_fit{of=\"v6\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("session_age") && !text.contains("names"));
    }
}
