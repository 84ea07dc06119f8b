//! Settings made ready to run: names and paths compiled, contradictions refused, all at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use crosscheck_model::secret::Part;
use crosscheck_model::{Family, Phase, Text};
use http::{HeaderName, HeaderValue, Method};
use rustls_pki_types::ServerName;

use super::assertions::Wanted;
use super::expect::Expectations;
use super::json::Rule;
use super::login::Login;
use super::payload::Payload;
use super::settings::{Coding, Settings, Slower, StatusRange, Version};
use super::target::{Target, Verb};
use super::token::TokenSource;
use crate::kind::SettingsError;
use crate::proxy::Proxy;
use crate::tls;

/// What a check does, without anything left to parse.
#[derive(Debug)]
pub(in crate::kind) struct Plan {
    pub(super) target: Target,
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, Text)>,
    /// Boxed as the proxy is: few have one, and a probe keeps many plans.
    pub(super) payload: Option<Box<Payload>>,
    pub(super) login: Option<Login>,
    pub(super) proxy: Option<Box<Proxy>>,
    pub(super) accept_encoding: HeaderValue,
    pub(super) host: Option<HeaderValue>,
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) redirects: u32,
    pub(super) version: Option<Version>,
    pub(super) family: Family,
    pub(super) tls: tls::Wanted,
    pub(super) body_limit: u64,
    pub(super) wanted: Wanted,
}

/// What browsers follow; a longer chain is a fault of the target.
const REDIRECTS_AT_MOST: u32 = 20;

/// Many checks run at the same time, and each may hold its whole body in memory.
const BODY_AT_MOST_BYTES: u64 = 64 << 20;

/// Headers that say how the request is framed or where it goes: the probe's to set.
const RESERVED: [(&str, &str); 5] = [
    ("host", "write the setting `host`"),
    ("content-length", "leave it out; it follows from what is sent"),
    ("transfer-encoding", "leave it out; it follows from what is sent"),
    ("connection", "leave it out; each run has its own connection"),
    ("upgrade", "leave it out; choose with the setting `version`"),
];

/// Gathers what is wrong.
#[derive(Default)]
pub(super) struct Faults(Vec<SettingsError>);

impl Faults {
    pub(super) fn add(&mut self, path: &[&str], message: impl Display, hint: Option<&str>) {
        self.0.push(SettingsError {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            message: message.to_string(),
            hint: hint.map(str::to_owned),
        });
    }
}

impl Plan {
    /// Compiles the settings.
    pub(in crate::kind) fn new(settings: Settings) -> Result<Self, Vec<SettingsError>> {
        let mut faults = Faults::default();
        check_bounds(&settings, &mut faults);
        check_contradictions(&settings, &mut faults);
        let headers = sent_headers(&settings.headers, &mut faults);
        let login = Login::of(&settings, &mut faults);
        let proxy = settings.proxy.as_ref().and_then(|wanted| {
            let proxy = Proxy::new(wanted);
            proxy.map(Box::new).map_err(|(key, why)| faults.add(&["proxy", key], why, None)).ok()
        });
        let family = settings.url.family(settings.family).unwrap_or_else(|refused| {
            faults.add(&["family"], refused, None);
            Family::default()
        });
        let host = settings.host.as_deref().and_then(|host| {
            let value = HeaderValue::from_str(host).ok();
            if value.is_none() || host.is_empty() || host.contains(['/', ' ']) {
                faults.add(&["host"], format!("`{host}` cannot be a `Host` header"), None);
            }
            value
        });
        let server_name = settings.server_name.as_deref().and_then(|name| {
            let parsed = ServerName::try_from(name.to_owned()).ok();
            if parsed.is_none() {
                let message = format!("`{name}` is no name that TLS can ask for");
                faults.add(&["server_name"], message, Some("write a host name without a port"));
            }
            parsed
        });
        let payload = Payload::of(&settings, &mut faults).map(Box::new);
        let wanted = wanted(&settings, &mut faults);
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        let default_method = if payload.is_some() { Method::POST } else { Method::GET };
        Ok(Self {
            method: settings.method.map_or(default_method, |Verb(method)| method),
            headers,
            payload,
            login,
            proxy,
            accept_encoding: accept_encoding(&settings.accept_encoding),
            host,
            server_name,
            redirects: settings.redirects,
            version: settings.version,
            family,
            tls: tls::Wanted {
                ca: settings.ca,
                client: settings.client,
                alpn: offered(settings.version),
                // There is no older one within QUIC (RFC 9001 4.2).
                only_1_3: settings.version == Some(Version::Http3),
            },
            body_limit: settings.body_limit.bytes(),
            wanted,
            target: settings.url,
        })
    }
}

impl Plan {
    /// Takes its tokens from where another with the same settings does.
    pub(in crate::kind) fn share_tokens(&mut self, sources: &mut Vec<Arc<TokenSource>>) {
        let Some(Login::Token(own)) = &mut self.login else { return };
        match sources.iter().find(|source| source.gives_the_same(own)) {
            Some(source) => *own = source.clone(),
            None => sources.push(own.clone()),
        }
    }
}

/// What is asked for unless told, as browsers do: users get the encoded answer, so it is the one to
/// measure.
fn accept_encoding(wanted: &[Coding]) -> HeaderValue {
    if wanted.is_empty() {
        return HeaderValue::from_static("gzip, deflate, br, zstd");
    }
    let names: Vec<&str> = wanted.iter().map(|coding| coding.as_str()).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("identity"))
}

/// Offering only what is wanted makes the server say so when it cannot.
fn offered(version: Option<Version>) -> &'static [&'static [u8]] {
    match version {
        None => &[b"h2", b"http/1.1"],
        Some(Version::Http2) => &[b"h2"],
        Some(Version::Http11) => &[b"http/1.1"],
        Some(Version::Http3) => &[b"h3"],
    }
}

fn check_bounds(settings: &Settings, faults: &mut Faults) {
    if settings.redirects > REDIRECTS_AT_MOST {
        let message = format!("{} redirects are too many", settings.redirects);
        faults.add(&["redirects"], message, Some(&format!("at most {REDIRECTS_AT_MOST}")));
    }
    let limit = settings.body_limit.bytes();
    if limit == 0 || limit > BODY_AT_MOST_BYTES {
        let message = format!("`{}` is out of bounds", settings.body_limit);
        faults.add(&["body_limit"], message, Some("from 1B to 64MiB"));
    }
}

fn check_contradictions(settings: &Settings, faults: &mut Faults) {
    let is_head = settings.method.as_ref().is_some_and(|Verb(method)| *method == Method::HEAD);
    let wants_body = !settings.body.contains.is_empty() || !settings.body.matches.is_empty();
    let given = [
        ("body", wants_body),
        ("json", !settings.json.is_empty()),
        ("compressed", settings.compressed == Some(true)),
    ];
    for (key, wanted) in given {
        if is_head && wanted {
            let hint = Some("use `method: GET`");
            faults.add(&[key], "an answer to HEAD has no body to look at", hint);
        }
    }
    let refuses = !settings.accept_encoding.is_empty()
        && settings.accept_encoding.iter().all(|coding| *coding == Coding::Identity);
    if refuses && settings.compressed == Some(true) {
        let hint = Some("name one that compresses in `accept_encoding`");
        faults.add(&["compressed"], "nothing is asked for that compresses", hint);
    }
    if settings.version == Some(Version::Http3) {
        if !settings.url.is_https() {
            let hint = Some("write an `https://` URL");
            faults.add(&["version"], "HTTP/3 is always encrypted", hint);
        }
        if settings.proxy.is_some() {
            let hint = Some("leave out `proxy`, or ask for version 2");
            faults.add(&["version"], "HTTP/3 goes over UDP, which no proxy here forwards", hint);
        }
    }
    // A redirect may lead from http to https, where these count.
    if settings.url.is_https() || settings.redirects > 0 {
        return;
    }
    for (key, given) in [
        ("ca", settings.ca.is_some()),
        ("client", settings.client.is_some()),
        ("server_name", settings.server_name.is_some()),
        ("certificate", settings.certificate.is_some()),
    ] {
        if given {
            let hint = Some("write an `https://` URL, or leave it out");
            faults.add(&[key], "there is no TLS with an `http://` URL", hint);
        }
    }
}

fn sent_headers(headers: &BTreeMap<String, Text>, faults: &mut Faults) -> Vec<(HeaderName, Text)> {
    let mut compiled = Vec::with_capacity(headers.len());
    for (written, text) in headers {
        let path = ["headers", written.as_str()];
        let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
            faults.add(&path, format!("`{written}` is no header's name"), None);
            continue;
        };
        if let Some((_, hint)) = RESERVED.iter().find(|(reserved, _)| name == *reserved) {
            faults.add(&path, format!("`{written}` is set by the probe"), Some(hint));
        }
        let plain = text.parts().into_iter().filter_map(|part| match part {
            Part::Plain(plain) => Some(plain),
            Part::Secret(_) => None,
        });
        for part in plain {
            if HeaderValue::from_str(part).is_err() {
                let message = format!("{part:?} cannot be sent in a header");
                faults.add(&path, message, Some("headers are one line of visible characters"));
            }
        }
        compiled.push((name, text.clone()));
    }
    compiled
}

fn wanted(settings: &Settings, faults: &mut Faults) -> Wanted {
    let mut headers = Vec::with_capacity(settings.header.len());
    for (written, wanted) in &settings.header {
        match HeaderName::from_bytes(written.as_bytes()) {
            Ok(name) => headers.push((name, wanted.clone())),
            Err(_) => {
                let message = format!("`{written}` is no header's name");
                faults.add(&["header", written], message, None);
            }
        }
    }
    let mut json = Vec::with_capacity(settings.json.len());
    for (path, expected) in &settings.json {
        match Rule::new(path, expected.clone()) {
            Ok(rule) => json.push(rule),
            Err(message) => {
                let hint = "a path starts with `$`, such as `$.items[0].total`";
                faults.add(&["json", path], message, Some(hint));
            }
        }
    }
    let expect = Expectations::new(&settings.expect, faults);
    let mut status = settings.status.to_vec();
    if status.is_empty() {
        let any = StatusRange { first: 100, last: 599 };
        status.push(if expect.judge_status() { any } else { StatusRange::SUCCESS });
    }
    Wanted {
        status,
        headers,
        body: settings.body.clone(),
        json,
        expect,
        compressed: settings.compressed,
        slower_than: settings.slower_than.map(crate::text::Span::get),
        slower: slower(&settings.slower),
        warn_days: settings.certificate.as_ref().map(|wanted| wanted.warn_days),
    }
}

fn slower(slower: &Slower) -> Vec<(Phase, std::time::Duration)> {
    let phases = [
        (Phase::Dns, slower.dns),
        (Phase::Connect, slower.connect),
        (Phase::Tls, slower.tls),
        (Phase::FirstByte, slower.first_byte),
        (Phase::Transfer, slower.transfer),
    ];
    phases.into_iter().filter_map(|(phase, limit)| Some((phase, limit?.get()))).collect()
}
