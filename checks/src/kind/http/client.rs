//! A request, its redirects and what becomes of the answer: what an `http` check does once, and a
//! journey once a step.

use std::sync::{Arc, OnceLock};

use crosscheck_model::place::Role;
use crosscheck_model::{Cause, Family, Place};
use http::{HeaderMap, StatusCode};

use super::body::Body;
use super::exchange::Answer;
use super::expect::Facts;
use super::jar::Jar;
use super::login::Login;
use super::plan::Plan;
use super::request::{Hop, Prepared};
pub(in crate::kind) use super::seen::Seen;
use super::settings::Version;
use super::target::Target;
use super::words::Words;
use crate::dial::Timer;
use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::tls::Tls;

/// A request that can be sent any number of times, at the same time too.
pub(in crate::kind) struct Client {
    pub(super) plan: Plan,
    /// TLS as configured; built at the first run, where the files are.
    home: OnceLock<Box<Tls>>,
    /// TLS without the client's certificate, for other origins.
    abroad: OnceLock<Box<Tls>>,
}

/// What is special about one sending.
pub(in crate::kind) struct Visit<'a> {
    /// Where the first request goes.
    pub(in crate::kind) target: Target,
    /// What the open places of headers and bodies get.
    pub(in crate::kind) words: Words<'a>,
    /// Cookies; `None`: none are kept.
    pub(in crate::kind) jar: Option<&'a mut Jar>,
    /// Shown the answer, as far as it came, before it is judged; the whole body is kept for it.
    pub(in crate::kind) glance: Option<Glance<'a>>,
}

/// Looks at an answer: the URL that gave it, its headers and its body.
pub(in crate::kind) type Glance<'a> = &'a mut (dyn FnMut(&Target, &HeaderMap, &[u8]) + Send);

impl Client {
    pub(in crate::kind) fn new(plan: Plan) -> Self {
        Self { plan, home: OnceLock::new(), abroad: OnceLock::new() }
    }

    /// Where it goes unless a visit says otherwise.
    pub(in crate::kind) fn target(&self) -> &Target {
        &self.plan.target
    }

    /// What is asked, in a few words: the method and the path.
    pub(in crate::kind) fn about(&self) -> String {
        format!("{} {}", self.plan.method, self.plan.target.url().path())
    }

    /// Where evidence is gathered.
    pub(in crate::kind) fn endpoint(&self) -> Endpoint {
        self.place(&self.plan.target, Role::Target).into()
    }

    /// Where evidence is gathered about a request to this target: there, or at the proxy where the
    /// probe goes no further itself.
    pub(in crate::kind) fn place(&self, target: &Target, role: Role) -> Place {
        let plan = &self.plan;
        if let Some(proxy) = &plan.proxy {
            return proxy.place(plan.family);
        }
        let (host, port) = (target.host(), target.port());
        if target.is_https() && plan.version == Some(Version::Http3) {
            return Place::udp(host, port, plan.family).as_role(role);
        }
        let own_name = plan.server_name.as_ref().filter(|_| target.same_origin(&plan.target));
        let named = || own_name.map_or_else(|| host.clone(), |name| name.to_str().into_owned());
        let tls = target.is_https().then(named);
        Place { tls, ..Place::tcp(host, port, plan.family) }.as_role(role)
    }

    pub(in crate::kind) fn family(&self) -> Family {
        self.plan.family
    }

    /// Whether a sending may come to know secrets that are not the configuration's own text: tokens,
    /// and what is made of several secrets.
    pub(in crate::kind) fn may_learn_secrets(&self) -> bool {
        self.plan.login.is_some() || self.plan.payload.is_some() || self.plan.proxy.is_some()
    }

    /// Reads the files of TLS at the first run: their time is not the target's.
    pub(in crate::kind) fn prepare(&self) -> Result<(), Failure> {
        if self.plan.target.is_https() || self.plan.redirects > 0 {
            self.tls(true)?;
        }
        match &self.plan.login {
            Some(Login::Token(source)) => source.prepare(),
            _ => Ok(()),
        }
    }

    /// What is to be sent.
    pub(in crate::kind) fn fill(&self, words: &Words<'_>) -> Result<Prepared, Failure> {
        Prepared::new(&self.plan, words)
    }

    /// Follows the redirects to the answer that is judged, and notes where that failed.
    pub(in crate::kind) async fn walk(
        &self,
        env: &Env,
        prepared: &Prepared,
        visit: &mut Visit<'_>,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let mut hop = Hop::first(&self.plan, visit.target.clone());
        let walked = self.follow(env, prepared, visit, &mut hop, (timer, seen)).await;
        if walked.is_err() && seen.place.is_none() {
            let role = if seen.redirects > 0 { Role::Redirect } else { Role::Target };
            seen.place = Some(self.place(&hop.target, role));
        }
        walked
    }

    async fn follow(
        &self,
        env: &Env,
        prepared: &Prepared,
        visit: &mut Visit<'_>,
        hop: &mut Hop,
        (timer, seen): (&mut Timer, &mut Seen),
    ) -> Result<(), Failure> {
        let mut asked = Vec::new();
        loop {
            if self.plan.redirects > 0 {
                asked.push(hop.question());
            }
            let cookies = visit.jar.as_ref().and_then(|jar| jar.header(&hop.target));
            let asked_with = (prepared, cookies, visit.words.secrets);
            let answer = self.ask_as_user(env, hop, asked_with, timer, seen).await;
            let answer = answer.map_err(|failure| match seen.redirects {
                0 => failure,
                _ => after_redirect(failure, hop),
            })?;
            if let Some(jar) = &mut visit.jar {
                jar.take(&answer.head.headers, &hop.target, visit.words.secrets);
            }
            seen.status = Some(answer.head.status.as_u16());
            seen.note_throttled(&answer.head);
            seen.version = Some(answer.spoken.number());
            seen.answer_is_proxys = self.is_forwarded(&hop.target) && is_proxys(answer.head.status);
            let next =
                if self.plan.redirects == 0 { None } else { hop.next(&answer.head, prepared) };
            let accepts = || self.plan.wanted.accepts(answer.head.status);
            let next = match next {
                Some(next) if seen.redirects < self.plan.redirects || !accepts() => next,
                _ => return self.judge(answer, &hop.target, visit, timer, seen).await,
            };
            *hop = next?;
            // With another cookie the same question may have another answer.
            let repeats = || asked.iter().any(|question| hop.repeats(question));
            let detail = if visit.jar.is_none() && repeats() {
                format!("the redirects go in a circle, back to {}", hop.target)
            } else if seen.redirects == self.plan.redirects {
                format!("more than {} redirects, the next to {}", seen.redirects, hop.target)
            } else {
                seen.redirects += 1;
                continue;
            };
            return Err(Failure { cause: Cause::Redirect, detail });
        }
    }

    /// Reads the body and judges the whole.
    async fn judge(
        &self,
        mut answer: Answer,
        from: &Target,
        visit: &mut Visit<'_>,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let (wanted, secrets) = (&self.plan.wanted, visit.words.secrets);
        let limit = self.plan.body_limit;
        let is_looked_at = visit.glance.is_some() || wanted.looks_at_body();
        let keep = if is_looked_at { limit } else { excerpt::KEEP_BYTES as u64 };
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        let received = match Body::new(answer.encoding(), keep, limit) {
            Ok(body) => answer.receive(seen.body.insert(body), timer).await,
            Err(failure) => Err(failure),
        };
        let head = answer.into_head(); // The connection is closed.
        seen.note_sizes();
        let body = seen.body();
        if let Some(glance) = &mut visit.glance {
            glance(from, &head.headers, body);
        }
        if !wanted.accepts(head.status) {
            // The error page may break off; the status that it came with is the better cause.
            let failure = wanted.judge(&head, (&[], None), secrets);
            return failure.map_or(Ok(()), |failure| Err(self.by_whom(failure, from)));
        }
        received?;
        let is_compressed = seen.compressed();
        let body = seen.body();
        if let Some(failure) = wanted.judge(&head, (body, is_compressed), secrets) {
            return Err(failure);
        }
        if !wanted.expect.is_empty() {
            let numbers = seen.numbers(timer);
            let facts = Arc::new(Facts::new(&head.headers, seen.body(), numbers));
            if let Some(failure) = wanted.expect.judge(&facts, secrets) {
                return Err(failure);
            }
        }
        wanted.flaws(timer, seen.certificate_days).map_or(Ok(()), Err)
    }

    /// What is wrong with a document that a browser has loaded.
    pub(in crate::kind) fn judge_loaded(
        &self,
        status: u16,
        text: &str,
        secrets: &Secrets,
    ) -> Option<Failure> {
        let Ok(answer) = http::Response::builder().status(status).body(()) else {
            let detail = format!("{status} is no status of HTTP");
            return Some(Failure::new(Cause::Protocol, detail));
        };
        self.plan.wanted.judge(&answer.into_parts().0, (text.as_bytes(), None), secrets)
    }

    /// Whether what a document says matters.
    pub(in crate::kind) fn looks_at_body(&self) -> bool {
        self.plan.wanted.looks_at_body()
    }

    /// A status that is not wanted, with the proxy that may have answered in the target's place.
    fn by_whom(&self, failure: Failure, from: &Target) -> Failure {
        match &self.plan.proxy {
            Some(proxy) if self.is_forwarded(from) => {
                let detail =
                    format!("{}; it may be the answer of the proxy {proxy}", failure.detail);
                Failure { cause: failure.cause, detail }
            }
            _ => failure,
        }
    }

    /// Whether a proxy takes the request itself, and so may answer it.
    fn is_forwarded(&self, target: &Target) -> bool {
        self.plan.proxy.as_ref().is_some_and(|proxy| proxy.forwards()) && !target.is_https()
    }

    pub(super) fn tls(&self, at_home: bool) -> Result<&Tls, Failure> {
        let with_client = at_home || self.plan.tls.client.is_none();
        let cell = if with_client { &self.home } else { &self.abroad };
        if let Some(tls) = cell.get() {
            return Ok(tls);
        }
        let mut wanted = self.plan.tls.clone();
        if !with_client {
            wanted.client = None;
        }
        // A missing file is looked for again at the next run; TLS once built stays.
        let tls = Tls::new(&wanted)
            .map_err(|error| Failure { cause: Cause::Setup, detail: error.to_string() })?;
        Ok(cell.get_or_init(|| Box::new(tls)))
    }
}

/// Whether proxies answer so by themselves: their rules forbid it, or they get no answer.
fn is_proxys(status: StatusCode) -> bool {
    status == StatusCode::FORBIDDEN || status.is_server_error()
}

/// The failure with the place where a redirect has led.
fn after_redirect(failure: Failure, hop: &Hop) -> Failure {
    let detail = format!("after a redirect to {}: {}", hop.target, failure.detail);
    Failure { cause: failure.cause, detail }
}
