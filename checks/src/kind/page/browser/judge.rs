//! Whether a page that a browser has loaded is as wanted.

use std::time::Duration;

use crosscheck_model::{Cause, Phase};

use super::tunnel::BYTES_AT_MOST;
use super::visit::{Element, Visit};
use super::{BrowserCheck, NAVIGATIONS_AT_MOST, Seen, failure};
use crate::dial::Timer;
use crate::env::Env;
use crate::kind::page::{NAMED, slowest_named};
use crate::resolve::Failure;

impl BrowserCheck {
    /// What is wrong with it: the document, its elements, and then what stops nobody.
    pub(super) fn judge(&self, seen: &Seen, env: &Env, timer: &Timer) -> Option<Failure> {
        let visit = &seen.visit;
        if seen.tunnel.overflowed() {
            let detail = format!("the page brings more than {BYTES_AT_MOST} bytes");
            return Some(Failure::new(Cause::TooLarge, detail));
        }
        if visit.crashed {
            return Some(Failure::new(Cause::Setup, "the page's process in the browser has died"));
        }
        if visit.redirects > NAVIGATIONS_AT_MOST {
            let detail = "the page leads on and on, from one to the next";
            return Some(Failure::new(Cause::Redirect, detail));
        }
        let document = visit.document.as_ref();
        if let Some((document, word)) = document.and_then(|one| Some((one, one.failed.as_ref()?))) {
            return Some(failure::of(&document.url, word, &seen.tunnel));
        }
        let Some(status) = document.and_then(|document| document.status) else {
            return Some(timer.ran_out(Phase::FirstByte));
        };
        let is_loaded = visit.is_loaded();
        let text = seen.text.as_deref().unwrap_or_default();
        let wrong = self.0.document.judge_loaded(status, text, &env.secrets);
        let is_of_head = |failure: &Failure| failure.cause != Cause::Body;
        if let Some(failure) = wrong.filter(|failure| is_loaded || is_of_head(failure)) {
            return Some(failure);
        }
        if !is_loaded {
            return Some(unloaded(visit, timer));
        }
        self.failed_elements(seen).or_else(|| self.flaws(visit))
    }

    fn failed_elements(&self, seen: &Seen) -> Option<Failure> {
        let failed = self.failed(seen);
        if failed.len() <= self.0.own.elements_failed_above {
            return None;
        }
        let named: Vec<String> = failed.iter().take(NAMED).map(|one| one.named()).collect();
        let more = failed.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let (count, all) = (failed.len(), seen.visit.elements().len());
        let detail = format!("{count} of {all} elements failed: {}{more}", named.join("; "));
        Some(Failure::new(Cause::Elements, detail))
    }

    /// The elements that failed, but for what this probe must not connect to: that says nothing
    /// about users.
    pub(super) fn failed<'a>(&self, seen: &'a Seen) -> Vec<&'a Element> {
        let is_blocked = |element: &Element| {
            let place = failure::place(&element.url);
            let failure = place.and_then(|place| seen.tunnel.failure(&place));
            failure.is_some_and(|failure| failure.cause == Cause::BlockedAddress)
        };
        let is_skipped =
            |element: &Element| self.0.own.skip.iter().any(|one| one.is_match(&element.url));
        let elements = seen.visit.elements().into_iter();
        let failed = elements.filter(|one| one.failed.is_some());
        failed.filter(|one| !is_skipped(one) && !is_blocked(one)).collect()
    }

    fn flaws(&self, visit: &Visit) -> Option<Failure> {
        let own = &self.0.own;
        let mut flaws = Vec::new();
        if let Some(limit) = own.bytes_above.filter(|limit| visit.bytes > limit.bytes() as f64) {
            let detail = format!("the page has {} bytes, wanted at most {limit}", visit.bytes);
            flaws.push(Failure::new(Cause::Heavy, detail));
        }
        let slowest = visit.elements().into_iter().map(|one| (one.took(), one.named()));
        let slowest = slowest_named(slowest);
        let mut slow = |what: &str, took: Option<Duration>, limit: Option<Duration>, more: &str| {
            if let (Some(took), Some(limit)) = (took, limit)
                && took > limit
            {
                let detail = format!("{what} took {took:.1?}, wanted at most {limit:?}{more}");
                flaws.push(Failure::new(Cause::Slow, detail));
            }
        };
        let limit = own.first_paint_slower_than.map(|limit| limit.get());
        slow("the first paint", visit.painted(), limit, "");
        slow("the page", visit.loaded(), own.slower_than.map(|limit| limit.get()), &slowest);
        let nothing_painted = limit.is_some() && visit.painted().is_none();
        if nothing_painted {
            flaws.push(Failure::new(Cause::Slow, "nothing was painted"));
        }
        let cause = flaws.first()?.cause;
        let details: Vec<String> = flaws.into_iter().map(|flaw| flaw.detail).collect();
        Some(Failure::new(cause, details.join("; ")))
    }
}

/// A page that had not come to its end.
fn unloaded(visit: &Visit, timer: &Timer) -> Failure {
    let open: Vec<&Element> = visit.elements().into_iter().filter(|one| one.is_open()).collect();
    let mut failure = timer.ran_out(Phase::Transfer);
    if let Some(first) = open.first() {
        let others = open.len() - 1;
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        failure.detail = format!("{}: {}{others} not loaded", failure.detail, first.named());
    }
    failure
}
