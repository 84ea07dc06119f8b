//! A page as its users' browsers show it: loaded by a Chromium that the probe's own configuration
//! names, with all that its scripts do.
//!
//! Each run has a browser of its own with an empty profile: [`process`]. Its only way out is the
//! run's [`tunnel`], so the guard over addresses holds for everything that the page, its scripts and
//! its frames ask for. What took place is in the browser's own times: its start counts to nothing.

mod devtools;
mod failure;
mod judge;
mod picture;
mod process;
mod tunnel;
mod visit;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crosscheck_model::{Cause, Family, Outcome, Phase, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::devtools::{Broken, Devtools, Message};
use self::process::Browser;
use self::tunnel::Tunnel;
use self::visit::Visit;
use super::ms;
use super::settings::Parts;
use crate::dial::Timer;
use crate::env::Env;
use crate::excerpt;
use crate::gather::Endpoint;
use crate::kind::Check;
use crate::kind::part::Part;
use crate::kind::presence::{Presence, Sighting};
use crate::resolve::Failure;

/// Browsers of this process at the same time: each takes a processor and some 300 MiB.
static TURNS: Semaphore = Semaphore::const_new(2);

/// How long a loaded page may go on to ask for things and show its first text or picture.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// Kept of a run for the picture and for ending the browser; a quarter of shorter runs.
const RESERVE: Duration = Duration::from_secs(3);

/// A screen as many have.
const SCREEN: (u32, u32) = (1280, 800);

/// Navigations by scripts after which a page is said to go in a circle, as browsers say it of
/// redirects.
const NAVIGATIONS_AT_MOST: u32 = 20;

/// The most of a document's text that is looked at.
const TEXT_AT_MOST_CHARS: usize = 1 << 20;

/// A `page` check by a browser.
pub(super) struct BrowserCheck(pub(super) Parts);

impl Check for BrowserCheck {
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
        self.observe(env, deadline).map(|(outcome, _)| outcome).boxed()
    }

    fn tell<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, (Outcome, Vec<Part>)> {
        self.observe(env, deadline).boxed()
    }

    /// What the browser only has a word of its own for may be its own trouble.
    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        let told = |outcome: Outcome| match outcome.cause {
            Some(Cause::Protocol | Cause::Reset) => Sighting::told(outcome, Presence::Unclear),
            _ => Sighting::by_cause(outcome),
        };
        self.observe(env, deadline).map(move |(outcome, _)| told(outcome)).boxed()
    }
}

/// What a run has seen.
struct Seen {
    visit: Visit,
    tunnel: Tunnel,
    /// The document as scripts have made it, if it matters.
    text: Option<String>,
    picture: Option<PathBuf>,
}

impl BrowserCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> (Outcome, Vec<Part>) {
        let began = Instant::now();
        // Nothing of what the probe's other browsers take is the page's.
        let turn = timeout_at(began + deadline / 2, TURNS.acquire()).await;
        let mut timer = Timer::start(deadline.saturating_sub(began.elapsed()));
        let visited = match turn {
            Ok(Ok(_turn)) => self.visit(env, &timer).await,
            _ => Err(Failure::new(Cause::Setup, "this probe's browsers are busy with other pages")),
        };
        let (seen, failure) = match visited {
            Ok((seen, None)) => {
                let failure = self.judge(&seen, env, &timer);
                (Some(seen), failure)
            }
            Ok((seen, failure)) => (Some(seen), failure),
            Err(failure) => (None, Some(failure)),
        };
        let Some(seen) = seen else {
            return (timer.outcome(&env.secrets, failure), Vec::new());
        };
        self.add_phases(&seen, &mut timer);
        let mut outcome = timer.outcome(&env.secrets, failure);
        self.tell(&seen, &mut outcome);
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(self.drawn(&seen).as_bytes(), &env.secrets);
        }
        let parts = seen.visit.elements().into_iter().map(|one| one.part(&env.secrets)).collect();
        (outcome, parts)
    }

    /// Starts the browser, has it load the page, and ends it. A failure beside what was seen is the
    /// browser's own.
    async fn visit(&self, env: &Env, timer: &Timer) -> Result<(Seen, Option<Failure>), Failure> {
        let forbidden = |why| Failure::new(Cause::ExecForbidden, why);
        let program = env.programs.browser().map_err(forbidden)?;
        let tunnel = Tunnel::open(env, self.family(), timer).await?;
        let (mut browser, mut devtools) = Browser::start(program, tunnel.address)?;
        let reserve = RESERVE.min(timer.remaining() / 4);
        let until = timer.deadline() - reserve;
        let opened = timeout_at(until, open(&mut devtools)).await;
        let visit = match opened {
            Ok(Ok(visit)) => visit,
            broken => {
                let failure = match broken {
                    Ok(Err(Broken::Ended)) => browser.post_mortem().await,
                    Ok(Err(broken)) => Failure::new(Cause::Setup, broken.to_string()),
                    _ => Failure::new(Cause::Setup, "the browser was not ready in the run's time"),
                };
                browser.end().await;
                return Err(failure);
            }
        };
        let mut seen = Seen { visit, tunnel, text: None, picture: None };
        let loaded = timeout_at(until, self.load(&mut devtools, &mut seen)).await;
        let failure = match loaded {
            Ok(Err(Broken::Ended)) => Some(browser.post_mortem().await),
            Ok(Err(broken)) => Some(Failure::new(Cause::Setup, broken.to_string())),
            Ok(Ok(())) | Err(_) => None,
        };
        if failure.is_none() {
            let until = timer.deadline() - reserve / 2;
            let _ = timeout_at(until, self.look(env, timer, &mut devtools, &mut seen)).await;
        }
        browser.end().await;
        Ok((seen, failure))
    }

    /// Follows the page until it is there, or fails.
    async fn load(&self, devtools: &mut Devtools, seen: &mut Seen) -> Result<(), Broken> {
        let visit = &mut seen.visit;
        let url = self.0.document.target().to_string();
        let navigation = devtools.send("Page.navigate", json!({ "url": url })).await?;
        let mut settled: Option<Instant> = None;
        while !visit.is_over()
            && visit.redirects <= NAVIGATIONS_AT_MOST
            && !seen.tunnel.overflowed()
        {
            let message = match settled {
                Some(settled) => match timeout_at(settled, devtools.next()).await {
                    Ok(message) => message?,
                    Err(_) => return Ok(()),
                },
                None => devtools.next().await?,
            };
            match message {
                Message::Event(event) if event.method == "Page.javascriptDialogOpening" => {
                    devtools
                        .send("Page.handleJavaScriptDialog", json!({ "accept": false }))
                        .await?;
                }
                Message::Event(event) => visit.take(&event),
                Message::Reply(id, Ok(reply)) if id == navigation => {
                    if let Some(why) = reply["errorText"].as_str() {
                        visit.refuse(why);
                    }
                }
                Message::Reply(..) => {}
            }
            settled = visit
                .is_loaded()
                .then(|| settled.unwrap_or_else(|| Instant::now() + SETTLES_WITHIN));
        }
        Ok(())
    }

    /// Reads what the document says, and keeps a picture of a page that is not well.
    async fn look(
        &self,
        env: &Env,
        timer: &Timer,
        devtools: &mut Devtools,
        seen: &mut Seen,
    ) -> Result<(), Broken> {
        if self.0.document.looks_at_body() && seen.visit.is_loaded() {
            let expression = format!(
                "document.documentElement ? \
                 document.documentElement.outerHTML.slice(0, {TEXT_AT_MOST_CHARS}) : ''"
            );
            let asked = json!({ "expression": expression, "returnByValue": true });
            let reply = devtools.call("Runtime.evaluate", asked).await?;
            seen.text = reply["result"]["value"].as_str().map(str::to_owned);
        }
        let Some(directory) = env.programs.pictures() else { return Ok(()) };
        if self.judge(seen, env, timer).is_none() {
            return Ok(());
        }
        let asked = json!({ "format": "jpeg", "quality": 60 });
        let reply = devtools.call("Page.captureScreenshot", asked).await?;
        let Ok(jpeg) = STANDARD.decode(reply["data"].as_str().unwrap_or_default()) else {
            return Ok(());
        };
        let (target, directory) = (self.0.document.target(), directory.to_owned());
        let (page, host) = (target.to_string(), target.host());
        let kept = move || picture::keep(&directory, &page, &host, &jpeg);
        match tokio::task::spawn_blocking(kept).await {
            Ok(Ok(path)) => seen.picture = Some(path),
            Ok(Err(error)) => tracing::warn!(%error, "a page's picture cannot be kept"),
            Err(_) => {}
        }
        Ok(())
    }

    /// What is known of the document's own phases.
    fn add_phases(&self, seen: &Seen, timer: &mut Timer) {
        let place = failure::place(&self.0.document.target().to_string());
        if let Some(way) = place.and_then(|place| seen.tunnel.took(&place)) {
            timer.join(&way);
        }
        let Some(document) = &seen.visit.document else { return };
        for (phase, took) in [
            (Phase::Tls, document.tls),
            (Phase::FirstByte, document.first_byte),
            (Phase::Transfer, document.transfer()),
        ] {
            if let Some(took) = took {
                timer.add(phase, took);
            }
        }
    }

    /// The page in numbers.
    fn tell(&self, seen: &Seen, outcome: &mut Outcome) {
        let visit = &seen.visit;
        let (elements, document) = (visit.elements(), visit.document.as_ref());
        for (name, value) in [
            ("status", document.and_then(|document| document.status).map(f64::from)),
            ("redirects", Some(f64::from(visit.redirects))),
            ("elements", Some(elements.len() as f64)),
            ("elements_failed", Some(self.failed(seen).len() as f64)),
            ("bytes", Some(visit.bytes)),
            ("wire_bytes", Some(visit.wire_bytes)),
            ("document_ms", visit.fetched().map(ms)),
            ("dom_ready_ms", visit.ready().map(ms)),
            ("first_paint_ms", visit.painted().map(ms)),
            ("load_ms", visit.loaded().map(ms)),
            ("slowest_ms", elements.first().map(|slowest| ms(slowest.took()))),
        ] {
            outcome.values.extend(value.map(|value| (name.to_owned(), value)));
        }
        // The browser's start and end are not the page's.
        if let Some(loaded) = visit.loaded() {
            outcome.duration = loaded;
        }
    }

    /// Where the picture is, the failed elements, and then the slowest.
    fn drawn(&self, seen: &Seen) -> String {
        let picture = seen.picture.iter();
        let picture = picture.map(|path| format!("picture on this probe: {}", path.display()));
        let mut elements = seen.visit.elements();
        elements.sort_by_key(|one| one.failed.is_none()); // Stable: the slowest first within each.
        let elements = elements.iter().map(|one| format!("{:.0?} {}", one.took(), one.named()));
        picture.chain(elements).collect::<Vec<_>>().join(" | ")
    }
}

/// Makes a page ready to be led somewhere.
async fn open(devtools: &mut Devtools) -> Result<Visit, Broken> {
    devtools.call("Browser.setDownloadBehavior", json!({ "behavior": "deny" })).await?;
    let (width, height) = SCREEN;
    let created = devtools.call("Target.createTarget", json!({ "url": "about:blank" })).await?;
    let attached = json!({ "targetId": created["targetId"], "flatten": true });
    let attached = devtools.call("Target.attachToTarget", attached).await?;
    devtools.attach(attached["sessionId"].as_str().unwrap_or_default());
    let screen =
        json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    for (method, params) in [
        ("Page.enable", json!({})),
        ("Network.enable", json!({})),
        ("Inspector.enable", json!({})),
        ("Page.setLifecycleEventsEnabled", json!({ "enabled": true })),
        ("Emulation.setDeviceMetricsOverride", screen),
    ] {
        devtools.call(method, params).await?;
    }
    let tree = devtools.call("Page.getFrameTree", json!({})).await?;
    let frame = tree["frameTree"]["frame"]["id"].as_str();
    Ok(Visit::of(frame.ok_or_else(|| Broken::Nonsense("a page without a frame".to_owned()))?))
}
