//! A request, its redirects and what becomes of the answer: what an `http` check does once, and a
//! journey once a step.

use std::sync::OnceLock;

use crosscheck_model::{Cause, Family, Outcome, Status};
use http::{HeaderMap, HeaderValue};
use rustls_pki_types::ServerName;

use super::body::Body;
use super::exchange::{self, Answer};
use super::jar::Jar;
use super::plan::Plan;
use super::request::{Hop, Prepared};
use super::settings::Version;
use super::target::Target;
use super::words::Words;
use crate::dial::{self, Timer};
use crate::env::{Env, Secrets};
use crate::excerpt;
use crate::gather::Endpoint;
use crate::resolve::Failure;
use crate::tls::Tls;

/// A request that can be sent any number of times, at the same time too.
pub(in crate::kind) struct Client {
    plan: Plan,
    /// TLS as configured; built at the first run, where the files are.
    home: OnceLock<Tls>,
    /// TLS without the client's certificate, for other origins.
    abroad: OnceLock<Tls>,
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

/// What a run learned on its way, kept also when it failed.
#[derive(Default)]
pub(in crate::kind) struct Seen {
    status: Option<u16>,
    version: Option<f64>,
    redirects: u32,
    certificate_days: Option<f64>,
    body: Option<Body>,
}

impl Seen {
    /// Whether an answer of success came.
    pub(in crate::kind) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Days until the first certificate on the way expires.
    pub(in crate::kind) fn certificate_days(&self) -> Option<f64> {
        self.certificate_days
    }

    /// The body, as far as it was kept.
    pub(in crate::kind) fn body(&mut self) -> &[u8] {
        self.body.as_mut().map_or(&[][..], |body| body.kept())
    }

    /// The outcome: what the timer measured and what was seen.
    pub(in crate::kind) fn outcome(
        &mut self,
        timer: &Timer,
        secrets: &Secrets,
        failure: Option<Failure>,
    ) -> Outcome {
        let mut outcome = timer.outcome(secrets, failure);
        let named = [
            ("status", self.status.map(f64::from)),
            ("http_version", self.version),
            ("certificate_days", self.certificate_days),
            ("bytes", self.body.as_mut().map(|body| body.decoded() as f64)),
            ("redirects", self.status.map(|_| f64::from(self.redirects))),
        ];
        for (name, value) in named {
            outcome.values.extend(value.map(|value| (name.to_owned(), value)));
        }
        if outcome.status != Status::Up {
            outcome.excerpt = excerpt::of(self.body(), secrets);
        }
        outcome
    }
}

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
        let target = &self.plan.target;
        let named = || self.plan.server_name.clone().or_else(|| target.host().try_into().ok());
        Endpoint {
            host: target.host(),
            port: Some(target.port()),
            family: self.plan.family,
            tls: if target.is_https() { named() } else { None },
        }
    }

    pub(in crate::kind) fn family(&self) -> Family {
        self.plan.family
    }

    /// Reads the files of TLS at the first run: their time is not the target's.
    pub(in crate::kind) fn prepare(&self) -> Result<(), Failure> {
        if self.plan.target.is_https() || self.plan.redirects > 0 {
            self.tls(true)?;
        }
        Ok(())
    }

    /// What is to be sent.
    pub(in crate::kind) fn fill(&self, words: &Words<'_>) -> Result<Prepared, Failure> {
        Prepared::new(&self.plan, words)
    }

    /// Follows the redirects to the answer that is judged.
    pub(in crate::kind) async fn walk(
        &self,
        env: &Env,
        prepared: &Prepared,
        visit: &mut Visit<'_>,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<(), Failure> {
        let mut hop = Hop::first(&self.plan, visit.target.clone());
        let mut asked = Vec::new();
        loop {
            asked.push(hop.question());
            let cookies = visit.jar.as_ref().and_then(|jar| jar.header(&hop.target));
            let asking = self.ask(env, &hop, (prepared, cookies), timer, seen);
            let answer = asking.await.map_err(|failure| {
                if seen.redirects == 0 { failure } else { after_redirect(failure, &hop) }
            })?;
            if let Some(jar) = &mut visit.jar {
                jar.take(&answer.head.headers, &hop.target, visit.words.secrets);
            }
            seen.status = Some(answer.head.status.as_u16());
            seen.version = Some(if answer.is_http2 { 2.0 } else { 1.1 });
            let next =
                if self.plan.redirects == 0 { None } else { hop.next(&answer.head, prepared) };
            let accepts = || self.plan.wanted.accepts(answer.head.status);
            let next = match next {
                Some(next) if seen.redirects < self.plan.redirects || !accepts() => next,
                _ => return self.judge(answer, &hop.target, visit, timer, seen).await,
            };
            hop = next?;
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

    /// One hop: to the answer's head.
    async fn ask(
        &self,
        env: &Env,
        hop: &Hop,
        (prepared, cookies): (&Prepared, Option<HeaderValue>),
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let plan = &self.plan;
        let tls = if hop.target.is_https() { Some(self.tls(hop.at_home)?) } else { None };
        let host = hop.target.host();
        let connected = dial::connect(env, &host, hop.target.port(), plan.family, timer).await?;
        let Some(tls) = tls else {
            let is_http2 = plan.version == Some(Version::Http2);
            let request = prepared.request(plan, hop, cookies, is_http2)?;
            return exchange::ask(connected.stream, is_http2, request, timer).await;
        };
        let name = match &plan.server_name {
            Some(name) if hop.at_home => name.clone(),
            _ => ServerName::try_from(host).map_err(|error| Failure {
                cause: Cause::TlsName,
                detail: format!("TLS cannot ask for this host: {error}"),
            })?,
        };
        let session = tls.handshake(connected.stream, &name, timer).await?;
        if let Some(certificate) = session.certificate() {
            let days = certificate.days_left;
            seen.certificate_days =
                Some(seen.certificate_days.map_or(days, |least| least.min(days)));
        }
        let is_http2 = session.alpn() == Some(b"h2");
        if plan.version == Some(Version::Http2) && !is_http2 {
            let detail = "the server does not speak HTTP/2 (by ALPN)".to_owned();
            return Err(Failure { cause: Cause::Protocol, detail });
        }
        let stream = session.trusted()?;
        let request = prepared.request(plan, hop, cookies, is_http2)?;
        exchange::ask(stream, is_http2, request, timer).await
    }

    /// Reads the body and judges the whole.
    async fn judge(
        &self,
        answer: Answer,
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
        let head = answer.head.clone();
        let received = match Body::new(answer.encoding(), keep, limit) {
            Ok(body) => answer.receive(seen.body.insert(body), timer).await,
            Err(failure) => Err(failure),
        };
        let body = seen.body.as_mut().map_or(&[][..], |body| body.kept());
        if let Some(glance) = &mut visit.glance {
            glance(from, &head.headers, body);
        }
        if !wanted.accepts(head.status) {
            // The error page may break off; the status that it came with is the better cause.
            return wanted.judge(&head, &[], secrets).map_or(Ok(()), Err);
        }
        received?;
        if let Some(failure) = wanted.judge(&head, body, secrets) {
            return Err(failure);
        }
        wanted.flaws(timer, seen.certificate_days).map_or(Ok(()), Err)
    }

    fn tls(&self, at_home: bool) -> Result<&Tls, Failure> {
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
        Ok(cell.get_or_init(|| tls))
    }
}

/// The failure with the place where a redirect has led.
fn after_redirect(failure: Failure, hop: &Hop) -> Failure {
    let detail = format!("after a redirect to {}: {}", hop.target, failure.detail);
    Failure { cause: failure.cause, detail }
}
