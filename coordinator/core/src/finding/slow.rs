//! A target that answers too slowly: which phase has grown.

use crosscheck_model::Phase;
use crosscheck_model::place::Role;

use super::{Case, Scope, reach};

pub(super) fn sentence(case: &Case<'_>) -> String {
    let place = case.place();
    let role = case.spot.role();
    if let Some(addresses) = reach::addresses(case).filter(|_| role == Role::Target) {
        return format!("slow {place}: {addresses}");
    }
    let Some((phase, usual_ms, now_ms)) = grown(case) else { return format!("slow {place}") };
    let (what, whose) = match phase {
        Phase::Dns => ("resolving", "the name servers"),
        Phase::Connect => ("connecting", "the path"),
        Phase::Tls => ("the handshake", "the server"),
        Phase::Send => ("sending", "the path"),
        Phase::FirstByte => ("first byte", "the application"),
        Phase::Transfer => ("transfer", "the line, or larger answers"),
    };
    let whose = match (&case.scope, phase) {
        (Scope::Domain(_), Phase::Connect | Phase::Send | Phase::FirstByte | Phase::Transfer) => {
            "the path"
        }
        _ => whose,
    };
    let grew = format!("slow {place}, {what} grew from {usual_ms} ms to {now_ms} ms");
    match role {
        Role::Target => format!("{grew}: {whose}"),
        // The times are those of all places that a run was at.
        _ => grew,
    }
}

/// The phase that has grown most in all sites together, with what it took usually and takes now on
/// average, in milliseconds.
fn grown(case: &Case<'_>) -> Option<(Phase, u64, u64)> {
    let known: Vec<_> = case
        .gathered()
        .filter(|found| Phase::ALL.iter().any(|phase| found.usual_us.get(*phase) > 0))
        .collect();
    let count = u64::try_from(known.len()).ok().filter(|count| *count > 0)?;
    let sums = Phase::ALL.into_iter().map(|phase| {
        let usual: u64 = known.iter().map(|found| u64::from(found.usual_us.get(phase))).sum();
        let now: u64 = known.iter().map(|found| u64::from(found.phases_us.get(phase))).sum();
        (phase, usual, now)
    });
    let (phase, usual, now) = sums.max_by_key(|(_, usual, now)| now.saturating_sub(*usual))?;
    let (usual, now) = (usual / count / 1000, now / count / 1000);
    (now > usual).then_some((phase, usual, now))
}
