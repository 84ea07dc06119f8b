//! The request of each hop: secrets read once per run, and kept from other origins.

use bytes::Bytes;
use crosscheck_model::Cause;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, response};

use super::digest::Credentials;
use super::plan::Plan;
use super::target::Target;
use super::words::Words;
use crate::proxy::Account;
use crate::resolve::Failure;

/// Who asks, so that a target's owner finds out what the requests are.
const USER_AGENT: &str = concat!("crosscheck/", env!("CARGO_PKG_VERSION"));

/// Headers that say who asks, also when they hold no reference to a secret.
const CREDENTIALS: [HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What is sent, with its secrets read.
pub(in crate::kind) struct Prepared {
    headers: Vec<Header>,
    body: Bytes,
    body_is_secret: bool,
    /// What answers a challenge.
    pub(super) credentials: Option<Credentials>,
    /// Who logs in at the proxy.
    pub(super) account: Option<Account>,
}

/// What is known of a request only when it is sent.
#[derive(Clone, Default)]
pub(super) struct Late {
    pub(super) cookies: Option<HeaderValue>,
    pub(super) authorization: Option<HeaderValue>,
}

struct Header {
    name: HeaderName,
    value: HeaderValue,
    is_secret: bool,
}

/// Where a run is on its way through redirects.
pub(super) struct Hop {
    pub(super) target: Target,
    pub(super) method: Method,
    with_body: bool,
    /// Still where the check was told to go: only there are its credentials sent, its names
    /// used and its client certificate shown. Once left, it stays left (RFC 9110 15.4).
    pub(super) at_home: bool,
}

impl Prepared {
    /// Reads the secrets.
    pub(super) fn new(plan: &Plan, words: &Words<'_>) -> Result<Self, Failure> {
        let read = |text| words.resolve(text);
        let mut headers = Vec::with_capacity(plan.headers.len());
        let mut credentials = None;
        for (name, text) in &plan.headers {
            let is_secret = words.is_secret(text) || CREDENTIALS.contains(name);
            headers.push(Header {
                name: name.clone(),
                value: value(name, &read(text)?)?,
                is_secret,
            });
        }
        if let Some(login) = &plan.login {
            let known = login.header(words)?;
            if let Some(value) = known.map(|text| authorization(&text)).transpose()? {
                headers.push(Header { name: header::AUTHORIZATION, value, is_secret: true });
            }
            credentials = login.credentials(words)?;
        }
        let account = plan.proxy.as_ref().map(|proxy| proxy.account(words.secrets)).transpose()?;
        let account = account.flatten();
        let Some(payload) = &plan.payload else {
            let (body, body_is_secret) = (Bytes::new(), false);
            return Ok(Self { headers, body, body_is_secret, credentials, account });
        };
        let (body, kind) = payload.fill(words)?;
        if let Some(kind) = kind
            && headers.iter().all(|header| header.name != header::CONTENT_TYPE)
        {
            let value = value(&header::CONTENT_TYPE, &kind)?;
            headers.push(Header { name: header::CONTENT_TYPE, value, is_secret: false });
        }
        let body = body.into();
        let body_is_secret = payload.is_secret(words);
        Ok(Self { headers, body, body_is_secret, credentials, account })
    }

    /// The request of a hop. Its URI is the path alone for HTTP/1.1 (RFC 9112 3.2.1), and
    /// absolute for a proxy (RFC 9112 3.2.2) and for HTTP/2 and 3, where it becomes the
    /// pseudo-headers (RFC 9113 8.3.1, RFC 9114 4.3.1).
    pub(super) fn request(
        &self,
        plan: &Plan,
        hop: &Hop,
        late: &Late,
        form: Form,
    ) -> Result<Request<Bytes>, Failure> {
        let authority = match &plan.host {
            Some(host) if hop.at_home => host.clone(),
            _ => value(&header::HOST, &hop.target.authority())?,
        };
        let path = hop.target.path();
        let scheme = hop.target.url().scheme();
        let uri = match form {
            Form::Origin => path,
            // A proxy connects to this, whatever `Host` says.
            Form::Proxied => format!("{scheme}://{}{path}", hop.target.authority()),
            Form::Whole => format!("{scheme}://{}{path}", authority.to_str().unwrap_or_default()),
        };
        let mut request = Request::builder().method(hop.method.clone()).uri(uri);
        if form != Form::Whole {
            request = request.header(header::HOST, authority);
        }
        if let (Form::Proxied, Some(account)) = (form, &self.account) {
            let value = authorization(&account.basic())?;
            request = request.header(header::PROXY_AUTHORIZATION, value);
        }
        if let (Some(value), true) = (&late.authorization, hop.at_home) {
            request = request.header(header::AUTHORIZATION, value);
        }
        for header in self.headers.iter().filter(|header| hop.at_home || !header.is_secret) {
            request = request.header(&header.name, &header.value);
        }
        for (name, value) in [
            (header::USER_AGENT, Some(HeaderValue::from_static(USER_AGENT))),
            (header::ACCEPT, Some(HeaderValue::from_static("*/*"))),
            (header::ACCEPT_ENCODING, Some(plan.accept_encoding.clone())),
            (header::COOKIE, late.cookies.clone()),
        ] {
            if let Some(value) = value
                && self.headers.iter().all(|header| header.name != name)
            {
                request = request.header(name, value);
            }
        }
        let body = if hop.with_body { self.body.clone() } else { Bytes::new() };
        request.body(body).map_err(|error| setup(&format!("the request cannot be made: {error}")))
    }
}

/// How a request names its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By the path.
    Origin,
    /// By the whole URL, to a proxy.
    Proxied,
    /// By the pseudo-headers of HTTP/2 and HTTP/3.
    Whole,
}

impl Hop {
    /// The first one.
    pub(super) fn first(plan: &Plan, target: Target) -> Self {
        Self {
            target,
            method: plan.method.clone(),
            with_body: plan.payload.is_some(),
            at_home: true,
        }
    }

    /// Where an answer sends the client (RFC 9110 15.4); `None` when it does not.
    pub(super) fn next(
        &self,
        head: &response::Parts,
        prepared: &Prepared,
    ) -> Option<Result<Self, Failure>> {
        let becomes_get = match head.status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return None,
        };
        Some(self.follow(head, becomes_get, prepared))
    }

    fn follow(
        &self,
        head: &response::Parts,
        becomes_get: bool,
        prepared: &Prepared,
    ) -> Result<Self, Failure> {
        let status = head.status.as_u16();
        let broken = |what: String| Failure { cause: Cause::Redirect, detail: what };
        let location = head.headers.get(header::LOCATION);
        let location =
            location.and_then(|location| str::from_utf8(location.as_bytes()).ok()).ok_or_else(
                || broken(format!("status {status} of {} says not where to go", self.target)),
            )?;
        let target = self
            .target
            .join(location)
            .map_err(|why| broken(format!("{} redirects astray: {why}", self.target)))?;
        let at_home = self.at_home && target.same_origin(&self.target);
        let with_body = self.with_body && !becomes_get;
        if with_body && !at_home && prepared.body_is_secret {
            return Err(broken(format!(
                "status {status} of {} would have the body, which holds a secret, sent to {target}",
                self.target
            )));
        }
        let method = if becomes_get { Method::GET } else { self.method.clone() };
        Ok(Self { target, method, with_body, at_home })
    }

    /// Whether the same is asked of the same place.
    pub(super) fn repeats(&self, (method, target): &(Method, Target)) -> bool {
        self.method == *method && self.target == *target
    }

    /// What is asked of whom.
    pub(super) fn question(&self) -> (Method, Target) {
        (self.method.clone(), self.target.clone())
    }
}

/// A header that says who asks, kept out of HTTP/2's compression table.
pub(super) fn authorization(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = value(&header::AUTHORIZATION, text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn value(name: &HeaderName, text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        setup(&format!("what header `{name}` is given cannot be sent: it is not one line of text"))
    })
}

fn setup(detail: &str) -> Failure {
    Failure { cause: Cause::Setup, detail: detail.to_owned() }
}
