//! `page`: a document with its stylesheets, scripts and images, loaded as a browser would at the
//! first visit: no script runs, and what scripts or stylesheets would load is not known.
//!
//! Each element has a connection of its own, as every request of a check has. Browsers share
//! connections, so a page's time here is that of a browser and some handshakes more. Where the
//! probe has a browser, `browser` loads pages with it.

mod browser;
mod elements;
mod settings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Status};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http::HeaderMap;
use schemars::{Schema, SchemaGenerator};

use self::browser::BrowserCheck;
use self::elements::Element;
use self::settings::Parts;
use super::http::client::{Client, Seen, Visit};
use super::http::target::Target;
use super::http::words::Words;
use super::part::Part;
use super::presence::Sighting;
use super::{Check, Defaults, Kind, SettingsError, causes};
use crate::dial::{Timer, status_of};
use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;

/// More than browsers load from one host at a time.
const PARALLEL_AT_MOST: usize = 16;

/// More elements than nearly every page has; each costs its server a request.
const ELEMENTS_AT_MOST: usize = 500;

/// How many failed or slow elements a detail names.
const NAMED: usize = 3;

/// Loads a page with all that it needs.
#[derive(Clone, Copy, Debug)]
pub struct Page;

impl Kind for Page {
    fn name(&self) -> &'static str {
        "page"
    }

    fn about(&self) -> &'static str {
        "Loads a page with its stylesheets, scripts and images, and judges its time, size and failures."
    }

    fn defaults(&self) -> Defaults {
        let five_minutes = Duration::from_secs(300);
        Defaults {
            interval: five_minutes,
            retry_interval: Duration::from_secs(120),
            timeout: Duration::from_secs(30),
            ..Defaults::default()
        }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            causes::TLS,
            &[
                Cause::Protocol,
                Cause::Status,
                Cause::TooLarge,
                Cause::Redirect,
                Cause::Throttled,
                Cause::Proxy,
                Cause::Elements,
                Cause::Heavy,
                Cause::Slow,
            ],
            &[Cause::ExecForbidden, Cause::ExecMissing, Cause::ExecNotExecutable],
        ]
    }

    fn turned_round(&self) -> &'static str {
        "the document must not load as it is described; a page of which only elements fail is there, \
         and an answer of 5xx (but 501 and 505) proves nothing"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        settings::schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let parts = Parts::new(settings)?;
        if parts.own.browser {
            return Ok(Box::new(BrowserCheck(parts)));
        }
        Ok(Box::new(PageCheck(parts)))
    }
}

/// A `page` check.
struct PageCheck(Parts);

impl Check for PageCheck {
    fn target(&self) -> String {
        self.0.document.target().to_string()
    }

    fn family(&self) -> Family {
        self.0.document.family()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        Some(self.0.document.endpoint())
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).map(|(sighting, _)| sighting.outcome).boxed()
    }

    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        self.observe(env, deadline).map(|(sighting, _)| sighting).boxed()
    }

    fn tell<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, (Outcome, Vec<Part>)> {
        self.observe(env, deadline).map(|(sighting, parts)| (sighting.outcome, parts)).boxed()
    }
}

/// An element that was loaded, or not.
struct Loaded {
    element: Element,
    failure: Option<Failure>,
    /// As received, and unpacked.
    bytes: (u64, u64),
    /// From the document's end to its own.
    until: Duration,
    took: Duration,
}

impl Loaded {
    fn has_failed(&self) -> bool {
        // What this probe may not or cannot ask for says nothing about users.
        self.failure.as_ref().is_some_and(|failure| status_of(failure.cause) != Status::Unknown)
    }

    fn named(&self) -> String {
        let Element { role, target, .. } = &self.element;
        match &self.failure {
            Some(failure) => format!("{} {target}: {}", role.as_str(), failure.detail),
            None => format!("{} {target}", role.as_str()),
        }
    }

    fn part(&self, secrets: &Secrets) -> Part {
        let failure =
            self.failure.as_ref().map(|failure| excerpt::harmless(&failure.detail, secrets));
        Part {
            role: self.element.role.as_str().to_owned(),
            url: secrets.redact(&self.element.target.to_string()),
            took: self.took,
            bytes: self.bytes.1,
            wire_bytes: self.bytes.0,
            blocking: Some(self.element.blocks),
            failure,
        }
    }
}

impl PageCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> (Sighting, Vec<Part>) {
        let parts = &self.0;
        let env = &Env { secrets: env.secrets.of_run(), ..env.clone() };
        // Its time is not the target's.
        let clients = [&parts.document, &parts.home, &parts.abroad];
        let prepared = clients.into_iter().try_for_each(|client| client.prepare());
        let (mut timer, mut seen) = (Timer::start(deadline), Seen::default());
        let loaded = match prepared {
            Ok(()) => self.document(env, &mut timer, &mut seen).await,
            Err(failure) => Err(failure),
        };
        let (elements, failure) = match loaded {
            Ok(found) => {
                let loaded = self.elements(env, found, &timer).await;
                let failure = self.judge(&loaded, &timer, &seen);
                (loaded, failure)
            }
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let is_documents = elements.is_empty();
        let mut sighting = seen.sighting(&timer, &env.secrets, failure);
        let outcome = &mut sighting.outcome;
        tell(&elements, &seen, &timer, &mut outcome.values);
        let parts = elements.iter().map(|one| one.part(&env.secrets)).collect();
        if outcome.status != Status::Up && !is_documents {
            outcome.excerpt = excerpt::of(waterfall(elements).as_bytes(), &env.secrets);
        }
        (sighting, parts)
    }

    /// Loads the document, and finds what it needs.
    async fn document(
        &self,
        env: &Env,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Vec<Element>, Failure> {
        let Parts { document, own, .. } = &self.0;
        let words = Words { secrets: &env.secrets, host: &env.programs, saved: None };
        let prepared = document.fill(&words)?;
        let mut found = Vec::new();
        let mut glance = |from: &Target, _: &HeaderMap, body: &[u8]| {
            found = elements::find(body, from, own.frames);
        };
        let target = document.target().clone();
        let mut visit = Visit { target, words, jar: None, glance: Some(&mut glance) };
        let asked = document.walk(env, &prepared, &mut visit, timer, seen).await;
        match asked {
            Err(failure) if status_of(failure.cause) != Status::Degraded => return Err(failure),
            // A flaw of the document is told unless there is more to tell.
            Err(flaw) => seen.note_flaw(flaw),
            Ok(()) => {}
        }
        found.retain(|element| {
            let url = element.target.to_string();
            !own.skip.iter().any(|pattern| pattern.is_match(&url))
        });
        found.truncate(own.elements_at_most);
        Ok(found)
    }

    async fn elements(&self, env: &Env, found: Vec<Element>, timer: &Timer) -> Vec<Loaded> {
        let began = timer.elapsed();
        let load = |element| self.element(env, element, timer, began);
        let mut loaded: Vec<Loaded> =
            stream::iter(found).map(load).buffer_unordered(self.0.own.parallel).collect().await;
        loaded.sort_by_key(|loaded| std::cmp::Reverse(loaded.took));
        loaded
    }

    async fn element(&self, env: &Env, element: Element, timer: &Timer, began: Duration) -> Loaded {
        let is_home = element.target.same_origin(self.0.document.target());
        let client = if is_home { &self.0.home } else { &self.0.abroad };
        let mut part = timer.part(Duration::ZERO);
        let mut seen = Seen::default();
        let asked = ask(client, env, &element.target, &mut part, &mut seen).await;
        Loaded {
            element,
            failure: asked.err(),
            bytes: seen.sizes(),
            until: timer.elapsed().saturating_sub(began),
            took: part.elapsed(),
        }
    }

    fn judge(&self, loaded: &[Loaded], timer: &Timer, seen: &Seen) -> Option<Failure> {
        let own = &self.0.own;
        let failed: Vec<&Loaded> = loaded.iter().filter(|loaded| loaded.has_failed()).collect();
        if failed.len() > own.elements_failed_above {
            let named: Vec<String> = failed.iter().take(NAMED).map(|one| one.named()).collect();
            let more = failed.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let (count, all) = (failed.len(), loaded.len());
            let detail = format!("{count} of {all} elements failed: {}{more}", named.join("; "));
            return Some(Failure::new(Cause::Elements, detail));
        }
        let mut flaws: Vec<Failure> = seen.flaw().cloned().into_iter().collect();
        let bytes = all_bytes(loaded, seen).1;
        if let Some(limit) = own.bytes_above.filter(|limit| bytes > limit.bytes()) {
            let detail = format!("the page has {bytes} bytes, wanted at most {limit}");
            flaws.push(Failure::new(Cause::Heavy, detail));
        }
        let took = timer.elapsed();
        if let Some(limit) = own.slower_than.filter(|limit| took > limit.get()) {
            let slowest = loaded.iter().map(|one| (one.took, one.named()));
            let (slowest, limit) = (slowest_named(slowest), limit.get());
            let detail = format!("the page took {took:.1?}, wanted at most {limit:?}{slowest}");
            flaws.push(Failure::new(Cause::Slow, detail));
        }
        let cause = flaws.first()?.cause;
        let details: Vec<String> = flaws.into_iter().map(|flaw| flaw.detail).collect();
        Some(Failure::new(cause, details.join("; ")))
    }
}

async fn ask(
    client: &Client,
    env: &Env,
    target: &Target,
    timer: &mut Timer,
    seen: &mut Seen,
) -> Result<(), Failure> {
    let words = Words { secrets: &env.secrets, host: &env.programs, saved: None };
    let prepared = client.fill(&words)?;
    let mut visit = Visit { target: target.clone(), words, jar: None, glance: None };
    client.walk(env, &prepared, &mut visit, timer, seen).await
}

/// The bytes of the whole, as received and unpacked.
fn all_bytes(loaded: &[Loaded], document: &Seen) -> (u64, u64) {
    let elements = loaded.iter().map(|loaded| loaded.bytes);
    elements.fold(document.sizes(), |(wire, plain), (w, p)| (wire + w, plain + p))
}

/// The page in numbers.
fn tell(loaded: &[Loaded], seen: &Seen, timer: &Timer, values: &mut BTreeMap<String, f64>) {
    let (wire, plain) = all_bytes(loaded, seen);
    let count = |is: fn(&Loaded) -> bool| loaded.iter().filter(|one| is(one)).count() as f64;
    let blocking = loaded.iter().filter(|one| one.element.blocks).map(|one| one.until).max();
    let last = loaded.iter().map(|one| one.until).max().unwrap_or_default();
    let document = timer.phases().iter().map(|(_, time)| time).sum();
    for (name, value) in [
        ("elements", loaded.len() as f64),
        ("elements_failed", count(Loaded::has_failed)),
        ("blocking", count(|one| one.element.blocks)),
        ("bytes", plain as f64),
        ("wire_bytes", wire as f64),
        ("document_ms", ms(document)),
        ("blocking_ms", ms(document + blocking.unwrap_or_default())),
        ("load_ms", ms(document + last)),
        ("slowest_ms", ms(loaded.first().map(|one| one.took).unwrap_or_default())),
    ] {
        values.insert(name.to_owned(), value);
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The slowest of the elements, which come in that order, with their times.
fn slowest_named(elements: impl Iterator<Item = (Duration, String)>) -> String {
    let named: Vec<String> = elements
        .take(NAMED)
        .map(|(took, name)| format!("{} ms {name}", took.as_millis()))
        .collect();
    if named.is_empty() { String::new() } else { format!("; slowest: {}", named.join(", ")) }
}

/// The failed elements, and then the slowest, each with its time and size.
fn waterfall(mut loaded: Vec<Loaded>) -> String {
    loaded.sort_by_key(|one| !one.has_failed()); // Stable: the slowest first within each.
    let lines: Vec<String> = loaded
        .iter()
        .map(|one| format!("{:.0?} {}B {}", one.took, one.bytes.0, one.named()))
        .collect();
    lines.join(" | ")
}
