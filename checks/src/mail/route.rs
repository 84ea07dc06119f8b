//! What people configure of the mail channel, and the rules that hold between the settings.

use crosscheck_model::{Secret, Text};
use schemars::JsonSchema;
use serde::Deserialize;

use super::address::Mailbox;
use crate::env::Secrets;
use crate::kind::{SettingsError, read};

/// The settings of the `mail` channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server that takes mails: `smtp://host:587`, or `smtps://host:465` for TLS from the start.
    smtp: String,
    /// Whether mails travel encrypted to the server.
    #[serde(default)]
    tls: Tls,
    /// The sender: `crosscheck@example.com`, or with a name `Alarms <crosscheck@example.com>`.
    from: String,
    /// The user to log in as.
    user: Option<Text>,
    /// The user's password.
    password: Option<Secret>,
    /// A PEM file of the certificates that may vouch for the server, instead of the system's.
    ca: Option<String>,
    /// The name in the server's certificate, where it is not the host's.
    server_name: Option<String>,
}

/// Whether mails travel encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Encrypted to a server whose certificate is trusted, or not at all.
    #[default]
    Required,
    /// Encrypted where the server offers it, whoever it is (RFC 7435).
    Opportunistic,
    /// In clear.
    None,
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct Route {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The sender.
    pub from: Mailbox,
    /// Whom to log in as; only ever over a connection whose other end is known.
    pub login: Option<(Text, Secret)>,
    /// Who vouches for the server, where it is not the system's roots: a PEM file.
    pub ca: Option<String>,
    /// The name in its certificate.
    pub server_name: String,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// STARTTLS with a trusted certificate, or nothing is sent.
    StartTls,
    /// STARTTLS if offered, with any certificate.
    Opportunistic,
    /// None.
    Clear,
}

/// Submission (RFC 6409).
const SMTP_PORT: u16 = 587;
/// Submission over TLS (RFC 8314).
const SMTPS_PORT: u16 = 465;

impl Route {
    /// Reads and checks the settings.
    pub fn parse(settings: &serde_json::Value) -> Result<Self, Vec<SettingsError>> {
        let settings: Settings = read(settings)?;
        let mut errors = relations(&settings);
        let server = server(&settings).map_err(|error| errors.push(error)).ok();
        let from = Mailbox::parse(&settings.from)
            .map_err(|message| errors.push(wrong("from", message, None)))
            .ok();
        let (Some((host, port, security)), Some(from), true) = (server, from, errors.is_empty())
        else {
            return Err(errors);
        };
        Ok(Self {
            server_name: settings.server_name.unwrap_or_else(|| host.clone()),
            host,
            port,
            security,
            from,
            login: settings.user.zip(settings.password),
            ca: settings.ca,
        })
    }
}

impl Route {
    /// User and password, read anew for each mail: a rotated secret needs no restart.
    ///
    /// # Errors
    /// A secret that cannot be read.
    pub fn login(&self, secrets: &Secrets) -> Result<Option<(String, String)>, String> {
        let Some((user, password)) = &self.login else { return Ok(None) };
        let resolve = |text| secrets.resolve(text).map_err(|error| error.to_string());
        Ok(Some((resolve(user)?, resolve(password.text())?)))
    }
}

/// What does not go together.
fn relations(settings: &Settings) -> Vec<SettingsError> {
    let mut errors = Vec::new();
    match (&settings.user, &settings.password) {
        (Some(_), None) => errors.push(wrong("user", "a user without a password", Some("add `password: \"${file:PATH}\"`"))),
        (None, Some(_)) => errors.push(wrong("password", "a password without a user", Some("add `user`"))),
        (Some(_), Some(_)) if settings.tls != Tls::Required => errors.push(wrong(
            "tls",
            "a password is only sent to a server that is known and over TLS",
            Some("write `tls: required`, with `ca` for a private certificate, or leave out `user` and `password`"),
        )),
        _ => {}
    }
    if settings.tls != Tls::Required {
        for (name, given) in [("ca", &settings.ca), ("server_name", &settings.server_name)] {
            if given.is_some() {
                errors.push(wrong(name, "without effect unless `tls` is `required`", None));
            }
        }
    }
    errors
}

/// Host, port and protection.
fn server(settings: &Settings) -> Result<(String, u16, Security), SettingsError> {
    let shape = || {
        wrong(
            "smtp",
            "not the URL of a mail server",
            Some("write `smtp://host:587` or `smtps://host:465`"),
        )
    };
    let url: http::Uri = settings.smtp.parse().map_err(|_| shape())?;
    let authority = url.authority().ok_or_else(shape)?;
    if authority.as_str().contains('@') {
        return Err(wrong("smtp", "a user in the URL", Some("write it as `user` and `password`")));
    }
    if url.path_and_query().is_some_and(|rest| !matches!(rest.as_str(), "" | "/")) {
        return Err(shape());
    }
    let (security, default_port) = match (url.scheme_str(), settings.tls) {
        (Some("smtp"), Tls::Required) => (Security::StartTls, SMTP_PORT),
        (Some("smtp"), Tls::Opportunistic) => (Security::Opportunistic, SMTP_PORT),
        (Some("smtp"), Tls::None) => (Security::Clear, SMTP_PORT),
        (Some("smtps"), Tls::Required) => (Security::Implicit, SMTPS_PORT),
        (Some("smtps"), _) => {
            return Err(wrong(
                "tls",
                "`smtps://` is always encrypted",
                Some("leave out `tls`, or write `smtp://`"),
            ));
        }
        _ => return Err(shape()),
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = match (authority.port_u16(), authority.as_str().strip_prefix(authority.host())) {
        (Some(port), _) if port > 0 => port,
        (None, Some("")) => default_port,
        _ => return Err(shape()),
    };
    if host.is_empty() {
        return Err(shape());
    }
    Ok((host.to_owned(), port, security))
}

fn wrong(name: &str, message: &str, hint: Option<&str>) -> SettingsError {
    SettingsError {
        path: vec![name.to_owned()],
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn paths(settings: &Value) -> Vec<String> {
        match Route::parse(settings) {
            Ok(route) => panic!("taken: {route:?}"),
            Err(errors) => errors.into_iter().map(|error| error.path.join(".")).collect(),
        }
    }

    #[test]
    fn servers_are_read() {
        for (smtp, tls, host, port, security) in [
            ("smtp://mail.example.com", "required", "mail.example.com", 587, Security::StartTls),
            (
                "smtp://mail.example.com:25",
                "opportunistic",
                "mail.example.com",
                25,
                Security::Opportunistic,
            ),
            ("smtp://127.0.0.1:2525/", "none", "127.0.0.1", 2525, Security::Clear),
            ("smtps://mail.example.com", "required", "mail.example.com", 465, Security::Implicit),
            ("smtps://[::1]:4650", "required", "::1", 4650, Security::Implicit),
        ] {
            let route =
                Route::parse(&json!({ "smtp": smtp, "tls": tls, "from": "a@b.c" })).expect(smtp);
            assert_eq!((route.host.as_str(), route.port, route.security), (host, port, security));
            assert_eq!(route.server_name, host);
        }
    }

    #[test]
    fn the_schema_names_every_setting_and_no_other() {
        let schema = Settings::json_schema(&mut schemars::SchemaGenerator::default());
        let names: Vec<&String> = schema
            .get("properties")
            .and_then(Value::as_object)
            .expect("properties")
            .keys()
            .collect();
        assert_eq!(names, ["ca", "from", "password", "server_name", "smtp", "tls", "user"]);
        assert_eq!(schema.get("additionalProperties"), Some(&json!(false)));
        assert_eq!(schema.get("required"), Some(&json!(["smtp", "from"])));
    }

    #[test]
    fn what_does_not_go_together_is_refused_all_at_once() {
        let password = "${env:P}";
        for (settings, want) in [
            (json!({ "from": "a@b.c" }), vec![""]),
            (json!({ "smtp": "smtp://h", "from": "a@b.c", "tsl": "none" }), vec!["tsl"]),
            (
                json!({ "smtp": "smtp://h", "from": "a@b.c", "user": "u", "password": "clear" }),
                vec!["password"],
            ),
            (json!({ "smtp": "http://h", "from": "nobody" }), vec!["smtp", "from"]),
            (json!({ "smtp": "smtp://h:99999", "from": "a@b.c" }), vec!["smtp"]),
            (json!({ "smtp": "smtp://h/inbox", "from": "a@b.c" }), vec!["smtp"]),
            (json!({ "smtp": "smtp://u:p@h", "from": "a@b.c" }), vec!["smtp"]),
            (json!({ "smtp": "mail.example.com", "from": "a@b.c" }), vec!["smtp"]),
            (json!({ "smtp": "smtps://h", "tls": "none", "from": "a@b.c" }), vec!["tls"]),
            (json!({ "smtp": "smtp://h", "from": "a@b.c", "user": "u" }), vec!["user"]),
            (
                json!({ "smtp": "smtp://h", "from": "a@b.c", "password": password }),
                vec!["password"],
            ),
            (json!({ "smtp": "smtp://h", "from": "a@b.c\r\nBcc: x@y.z" }), vec!["from"]),
            (
                json!({ "smtp": "smtp://h", "tls": "none", "from": "a@b.c", "user": "u", "password": password, "ca": "x.pem" }),
                vec!["tls", "ca"],
            ),
            (
                json!({ "smtp": "smtp://h", "tls": "opportunistic", "from": "a@b.c", "user": "u", "password": password }),
                vec!["tls"],
            ),
        ] {
            assert_eq!(paths(&settings), want, "{settings}");
        }
    }
}
