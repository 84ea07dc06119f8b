//! Encrypted ways to a name server: DNS over TLS (RFC 7858) and over HTTPS (RFC 8484).

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use crosscheck_model::{Cause, Phase, Phases};
use hickory_proto::op::Message;
use http::{Request, header};
use rustls_pki_types::ServerName;
use tokio::time::timeout_at;

use crate::clock;
use crate::dial::{self, Timer};
use crate::guard::Guard;
use crate::kind::http::exchange as http_exchange;
use crate::kind::retry_after::Throttled;
use crate::resolve::Failure;
use crate::resolve::exchange::{Query, Reply, converse};
use crate::text::{Address, Refused};
use crate::tls::{self, Certificate, CertificateWanted, Session, Tls};

/// The media type of questions and answers (RFC 8484 section 6).
const MEDIA: &str = "application/dns-message";

/// An answer has at most 64 KiB over any transport.
const ANSWER_LIMIT_BYTES: usize = 65_535;

/// The name to ask for, the file of the roots to trust, and what the certificate must be.
pub(super) type TlsWords = (Option<String>, Option<String>, Option<CertificateWanted>);

/// For how long a server asks to be left alone: of several questions of a run the first that is told.
pub(super) type Wait = OnceLock<Duration>;

/// An encrypted way.
pub(super) struct Secure {
    name: ServerName<'static>,
    /// As in the URL: the port only where it is not 443.
    authority: String,
    /// Of HTTPS; `None`: TLS alone.
    path: Option<String>,
    wanted: tls::Wanted,
    warn_days: Option<u16>,
    /// Built at the first run, where the files are.
    tls: OnceLock<Tls>,
}

impl Secure {
    /// The way to a server.
    ///
    /// # Errors
    /// The name is none that TLS can ask for; with the key that has it.
    pub(super) fn new(
        server: &Address,
        path: Option<String>,
        (server_name, ca, certificate): TlsWords,
    ) -> Result<Self, (&'static str, Refused)> {
        let (key, text) = match &server_name {
            Some(name) => ("server_name", name.as_str()),
            None => ("server", server.host()),
        };
        let Ok(name) = ServerName::try_from(text.to_owned()) else {
            let message = format!("`{text}` is no name that TLS can ask for");
            return Err((key, Refused::new(message)));
        };
        let alpn: &'static [&'static [u8]] =
            if path.is_some() { &[b"h2", b"http/1.1"] } else { &[b"dot"] };
        let wanted = tls::Wanted { ca, alpn, ..tls::Wanted::default() };
        let full = server.to_string();
        let authority = full.strip_suffix(":443").unwrap_or(&full).to_owned();
        let warn_days = certificate.map(|wanted| wanted.warn_days);
        Ok(Self { name, authority, path, wanted, warn_days, tls: OnceLock::new() })
    }

    /// The name that TLS asks for.
    pub(super) fn name(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Asks over a connection of its own.
    ///
    /// # Errors
    /// There is no trusted connection, or no answer in time.
    pub(super) async fn ask(
        &self,
        guard: &Guard,
        servers: &[SocketAddr],
        query: &Query,
        (mut timer, wait): (Timer, &Wait),
    ) -> Result<(Reply, Option<Certificate>), Failure> {
        let tls = self.tls()?;
        let packet = query.packet()?;
        let connected = dial::connect_to(guard, servers, &mut timer).await?;
        let session = tls.handshake(connected.stream, &self.name, &mut timer).await?;
        let certificate = session.certificate();
        let (message, bytes) = match &self.path {
            None => over_tls(session, query, &packet, &mut timer).await?,
            Some(path) => {
                let request = self.request(path, session.alpn() == Some(b"h2"), packet)?;
                over_https(session, query, request, (&mut timer, wait)).await?
            }
        };
        let phases = *timer.phases();
        let reply = Reply { message, bytes, server: connected.address, phases, sent: 1 };
        Ok((reply, certificate))
    }

    /// A certificate whose end is in sight.
    pub(super) fn flaw(&self, certificate: &Certificate) -> Option<Failure> {
        let (warn, days) = (self.warn_days.map(f64::from)?, certificate.days_left);
        (days <= warn).then(|| {
            let detail =
                format!("expires in {days:.1} days, wanted more than {warn}; {certificate}");
            Failure::new(Cause::CertificateExpiring, detail)
        })
    }

    fn tls(&self) -> Result<&Tls, Failure> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        // A missing file is looked for again at the next run; TLS once built stays.
        let tls = Tls::new(&self.wanted)
            .map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
        Ok(self.tls.get_or_init(|| tls))
    }

    /// The question as RFC 8484 has it.
    fn request(
        &self,
        path: &str,
        is_http2: bool,
        packet: Vec<u8>,
    ) -> Result<Request<Bytes>, Failure> {
        let uri = match is_http2 {
            true => format!("https://{}{path}", self.authority),
            false => path.to_owned(),
        };
        let mut request = Request::builder()
            .method("POST")
            .uri(uri)
            .header(header::CONTENT_TYPE, MEDIA)
            .header(header::ACCEPT, MEDIA);
        if !is_http2 {
            request = request
                .header(header::HOST, &self.authority)
                .header(header::CONTENT_LENGTH, packet.len());
        }
        request
            .body(Bytes::from(packet))
            .map_err(|error| Failure::new(Cause::Setup, error.to_string()))
    }
}

async fn over_https(
    session: Session,
    query: &Query,
    request: Request<Bytes>,
    (timer, wait): (&mut Timer, &Wait),
) -> Result<(Message, usize), Failure> {
    let is_http2 = session.alpn() == Some(b"h2");
    let mut answer = http_exchange::ask(session.trusted()?, is_http2, request, timer).await?;
    let head = answer.head.clone();
    let mut body = Vec::new();
    let received = answer.message(ANSWER_LIMIT_BYTES, &mut body, timer).await;
    if let Some(throttled) = Throttled::by(head.status, &head.headers) {
        if let Some(asked) = throttled.wait(clock::since_1970()) {
            wait.get_or_init(|| asked);
        }
        return Err(throttled.failure());
    }
    if head.status != http::StatusCode::OK {
        let code = head.status.as_u16();
        let detail = format!("the server answered {code}, wanted 200");
        return Err(Failure::new(Cause::Status, detail));
    }
    let media = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media != Some(MEDIA) {
        let media = media.unwrap_or("nothing");
        let detail = format!("the answer is of the type `{media}`, wanted `{MEDIA}`");
        return Err(Failure::new(Cause::Protocol, detail));
    }
    received?;
    match query.answer(&body)? {
        Some(message) => Ok((message, body.len())),
        None => Err(Failure::new(Cause::Protocol, "the answer is to another question")),
    }
}

async fn over_tls(
    session: Session,
    query: &Query,
    packet: &[u8],
    timer: &mut Timer,
) -> Result<(Message, usize), Failure> {
    let mut stream = session.trusted()?;
    let mut phases = Phases::default();
    let talk = converse(&mut stream, query, packet, &mut phases);
    let result = timeout_at(timer.deadline(), talk).await;
    for (phase, time) in phases.iter() {
        timer.add(phase, time);
    }
    let is_begun = phases.get(Phase::FirstByte).is_some();
    let late = if is_begun { Phase::Transfer } else { Phase::FirstByte };
    result.unwrap_or_else(|_| Err(timer.ran_out(late)))
}
