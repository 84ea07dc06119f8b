//! One hop: as whom and by which way a request goes, to the answer's head.

use crosscheck_model::Cause;
use http::{HeaderValue, StatusCode};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::client::Client;
use super::exchange::{self, Answer};
use super::login::Login;
use super::request::{Form, Hop, Late, Prepared, authorization};
use super::seen::Seen;
use super::settings::Version;
use super::{digest, token::TokenSource};
use crate::dial::{self, Timer};
use crate::env::{Env, Secrets};
use crate::resolve::Failure;
use crate::tls::Tls;

impl Client {
    /// Asks, and once more where the server only then says what it wants to know.
    pub(super) async fn ask_as_user(
        &self,
        env: &Env,
        hop: &Hop,
        (prepared, cookies, secrets): (&Prepared, Option<HeaderValue>, &Secrets),
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let login = self.plan.login.as_ref().filter(|_| hop.at_home);
        let mut late = Late { cookies, authorization: None };
        let mut kept = None;
        if let Some(Login::Token(source)) = login {
            let (token, was_kept) = Box::pin(source.token(env, secrets, timer, seen)).await?;
            late.authorization = Some(authorization(&format!("Bearer {token}"))?);
            kept = was_kept.then_some(token);
        }
        let answer = self.ask(env, hop, (prepared, &late), timer, seen).await?;
        let status = answer.head.status;
        // Some servers say 403 of a token that they have taken back (RFC 6750 3.1 wants 401).
        let is_barred =
            status == StatusCode::FORBIDDEN && kept.is_some() && !self.plan.wanted.accepts(status);
        if status != StatusCode::UNAUTHORIZED && !is_barred {
            return Ok(answer);
        }
        let again = match (login, kept) {
            (Some(Login::Token(source)), Some(refused)) => {
                Some(Box::pin(renewed(source, &refused, env, secrets, (timer, seen))).await?)
            }
            (Some(Login::Digest(..)), _) => answered(&answer, hop, prepared)?,
            _ => None,
        };
        let Some(value) = again else { return Ok(answer) };
        drop(answer);
        late.authorization = Some(authorization(&value)?);
        Box::pin(self.ask(env, hop, (prepared, &late), timer, seen)).await
    }

    /// Sends one request.
    async fn ask(
        &self,
        env: &Env,
        hop: &Hop,
        (prepared, late): (&Prepared, &Late),
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let plan = &self.plan;
        let tls = if hop.target.is_https() { Some(self.tls(hop.at_home)?) } else { None };
        seen.note_request();
        if let (Some(Version::Http3), Some(tls)) = (plan.version, tls) {
            return Box::pin(self.ask_by_quic(env, tls, hop, (prepared, late), timer, seen)).await;
        }
        let stream = self.reach(env, hop, prepared, timer, seen).await?;
        let Some(tls) = tls else {
            let forwards = plan.proxy.as_ref().is_some_and(|proxy| proxy.forwards());
            let form = match plan.version {
                _ if forwards => Form::Proxied,
                Some(Version::Http2) => Form::Whole,
                _ => Form::Origin,
            };
            let request = prepared.request(plan, hop, late, form)?;
            let answer = exchange::ask(stream, form == Form::Whole, request, timer).await;
            let answer = answer.map_err(|failure| match &plan.proxy {
                Some(proxy) if forwards => proxy.broke_off(failure),
                _ => failure,
            })?;
            return match answer.head.status {
                StatusCode::PROXY_AUTHENTICATION_REQUIRED if forwards => Err(self.login_refused()),
                _ => Ok(answer),
            };
        };
        // Boxed: most of what a run keeps in memory is what TLS needs.
        Box::pin(self.ask_by_tls(stream, tls, hop, (prepared, late), timer, seen)).await
    }

    /// Shakes hands, and sends a request to whom it is meant for.
    async fn ask_by_tls(
        &self,
        stream: TcpStream,
        tls: &Tls,
        hop: &Hop,
        (prepared, late): (&Prepared, &Late),
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let plan = &self.plan;
        let name = self.name_at(hop)?;
        let session = tls.handshake(stream, &name, timer).await?;
        if let Some(days) = session.days_left() {
            seen.note_certificate(days);
        }
        let is_http2 = session.alpn() == Some(b"h2");
        if plan.version == Some(Version::Http2) && !is_http2 {
            let detail = "the server does not speak HTTP/2 (by ALPN)".to_owned();
            return Err(Failure { cause: Cause::Protocol, detail });
        }
        let stream = session.trusted()?;
        let form = if is_http2 { Form::Whole } else { Form::Origin };
        let request = prepared.request(plan, hop, late, form)?;
        exchange::ask(stream, is_http2, request, timer).await
    }

    /// The same, on a connection of QUIC.
    async fn ask_by_quic(
        &self,
        env: &Env,
        tls: &Tls,
        hop: &Hop,
        (prepared, late): (&Prepared, &Late),
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<Answer, Failure> {
        let (host, port, family) = (hop.target.host(), hop.target.port(), self.plan.family);
        let addresses = dial::find(env, &host, port, family, timer).await?;
        let session = tls.connect_quic(env, &addresses, &self.name_at(hop)?, timer).await?;
        if let Some(days) = session.days_left() {
            seen.note_certificate(days);
        }
        let connection = session.trusted()?;
        let request = prepared.request(&self.plan, hop, late, Form::Whole)?;
        exchange::ask_by_http3(connection, request, timer).await
    }

    /// The name that a server must have.
    fn name_at(&self, hop: &Hop) -> Result<ServerName<'static>, Failure> {
        match &self.plan.server_name {
            Some(name) if hop.at_home => Ok(name.clone()),
            _ => ServerName::try_from(hop.target.host()).map_err(|error| Failure {
                cause: Cause::TlsName,
                detail: format!("TLS cannot ask for this host: {error}"),
            }),
        }
    }

    /// A connection to the target, or to the proxy that forwards requests to it.
    async fn reach(
        &self,
        env: &Env,
        hop: &Hop,
        prepared: &Prepared,
        timer: &mut Timer,
        seen: &mut Seen,
    ) -> Result<TcpStream, Failure> {
        let (host, port, family) = (hop.target.host(), hop.target.port(), self.plan.family);
        let Some(proxy) = &self.plan.proxy else {
            return Ok(dial::connect(env, &host, port, family, timer).await?.stream);
        };
        let cost = seen.proxy.get_or_insert_default();
        if proxy.forwards() && !hop.target.is_https() {
            return Box::pin(proxy.reach(env, &host, family, timer, cost)).await;
        }
        let account = prepared.account.as_ref();
        Box::pin(proxy.tunnel(env, (&host, port), (family, account), timer, cost)).await
    }

    /// A proxy that forwards answers this itself (RFC 9110 15.5.8).
    fn login_refused(&self) -> Failure {
        let shown = self.plan.proxy.as_ref().map(ToString::to_string).unwrap_or_default();
        let detail = format!("the proxy {shown} refuses: status 407, it wants a user and password");
        Failure { cause: Cause::Proxy, detail }
    }
}

/// Another token instead of one that was kept and is refused.
async fn renewed(
    source: &TokenSource,
    refused: &str,
    env: &Env,
    secrets: &Secrets,
    (timer, seen): (&mut Timer, &mut Seen),
) -> Result<String, Failure> {
    source.forget(refused);
    let (token, _) = source.token(env, secrets, timer, seen).await?;
    Ok(format!("Bearer {token}"))
}

/// The answer to a challenge of Digest.
fn answered(answer: &Answer, hop: &Hop, prepared: &Prepared) -> Result<Option<String>, Failure> {
    let Some(credentials) = &prepared.credentials else { return Ok(None) };
    let path = hop.target.path();
    let asked = (hop.method.as_str(), path.as_str());
    digest::answer(&answer.head.headers, credentials, asked, &digest::own_nonce()).map(Some)
}
