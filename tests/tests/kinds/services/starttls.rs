//! `tls` where TLS begins in the midst of another protocol, against a real server of each.

use crosscheck_model::{Cause, Phase};
use crosscheck_tests::mailbox::Postfix;
use crosscheck_tests::service::dovecot::Dovecot;
use crosscheck_tests::service::mariadb::MariaDb;
use crosscheck_tests::service::postgres::Postgres;
use crosscheck_tests::service::prosody::Prosody;
use crosscheck_tests::service::relay::Relay;
use crosscheck_tests::service::slapd::Slapd;
use crosscheck_tests::service::vsftpd::Vsftpd;
use serde_json::{Value, json};

use super::{Trust, at, at_v6, closes, each, is_gone, is_there, run, with};

/// Where a protocol is spoken over both families.
struct Spoken {
    protocol: &'static str,
    v4: u16,
    v6: u16,
}

impl Spoken {
    fn new(protocol: &'static str, v4: u16, v6: u16) -> Self {
        Self { protocol, v4, v6 }
    }

    fn places(&self, trust: &Trust) -> [Value; 2] {
        let starttls = json!({ "starttls": self.protocol });
        let secure = trust.tls(self.v4, starttls.clone());
        [secure, trust.tls(self.v4, with(starttls, at_v6(self.v6)))]
    }
}

/// Shakes hands there over both families, and as with any other server of TLS the certificate must
/// be right; turned round, it must not shake hands.
async fn begins_tls(spoken: &Spoken, trust: &Trust) {
    let places = spoken.places(trust);
    is_there("tls", &places).await;
    let plain = with(at(spoken.v4), json!({ "starttls": spoken.protocol }));
    for place in &places {
        let stranger = with(place.clone(), json!({ "server_name": "other.test" }));
        let (wrong, at_once) = match spoken.protocol {
            // It is asked for that host, and has none of the name.
            "xmpp" => (Cause::NotOffered, Cause::TlsHandshake),
            // They say nothing to what they do not understand.
            "postgres" | "ldap" => (Cause::TlsName, Cause::Reset),
            _ => (Cause::TlsName, Cause::TlsHandshake),
        };
        let unasked = with(place.clone(), json!({ "starttls": null }));
        each(
            "tls",
            vec![
                (stranger, Some(wrong)),
                (with(place.clone(), json!({ "warn_days": 30 })), None),
                (unasked, Some(at_once)),
            ],
        )
        .await;
        let outcome = run("tls", place).await;
        let phases: Vec<Phase> = outcome.phases.iter().map(|(phase, _)| phase).collect();
        assert!(phases.contains(&Phase::Connect) && phases.contains(&Phase::Tls), "{outcome:?}");
        assert!(outcome.values["certificate_days"] > 1000.0, "{outcome:?}");
    }
    let named = with(plain, json!({ "server_name": "service.test" }));
    each("tls", vec![(named, Some(Cause::TlsUntrusted))]).await;
}

/// Nobody is there any more.
async fn is_closed(all: &[Spoken], trust: &Trust) {
    for spoken in all {
        closes(&[("127.0.0.1", spoken.v4), ("::1", spoken.v6)]).await;
        is_gone("tls", &spoken.places(trust)).await;
    }
}

#[tokio::test]
async fn tls_begins_in_the_midst_of_smtp_and_ftp() {
    let trust = Trust::new();
    let postfix = Postfix::start(&trust.scratch, &trust.identity).await;
    let vsftpd = Vsftpd::start(&trust.scratch, &trust.identity).await;
    let (mail, files) = (Relay::to(postfix.port).await, Relay::to(vsftpd.port).await);
    let all =
        [Spoken::new("smtp", postfix.port, mail.port), Spoken::new("ftp", vsftpd.port, files.port)];
    for spoken in &all {
        begins_tls(spoken, &trust).await;
    }
    drop((postfix, vsftpd));
    mail.close().await;
    files.close().await;
    is_closed(&all, &trust).await;
}

#[tokio::test]
async fn tls_begins_in_the_midst_of_imap_and_pop3() {
    let trust = Trust::new();
    let dovecot = Dovecot::start(&trust.scratch, &trust.identity).await;
    let all = [
        Spoken::new("imap", dovecot.imap, dovecot.imap),
        Spoken::new("pop3", dovecot.pop3, dovecot.pop3),
    ];
    for spoken in &all {
        begins_tls(spoken, &trust).await;
    }
    // One protocol's server does not understand the other's words.
    let wrong = trust.tls(dovecot.pop3, json!({ "starttls": "imap" }));
    each("tls", vec![(wrong, Some(Cause::Protocol))]).await;
    drop(dovecot);
    is_closed(&all, &trust).await;
}

#[tokio::test]
async fn tls_begins_in_the_midst_of_mysql_and_postgres() {
    let trust = Trust::new();
    let mariadb = MariaDb::start(&trust.scratch, &trust.identity).await;
    let postgres = Postgres::start(&trust.scratch, &trust.identity).await;
    let all = [
        Spoken::new("mysql", mariadb.port, mariadb.port),
        Spoken::new("postgres", postgres.port, postgres.port),
    ];
    for spoken in &all {
        begins_tls(spoken, &trust).await;
    }
    drop((mariadb, postgres));
    is_closed(&all, &trust).await;
}

#[tokio::test]
async fn tls_begins_in_the_midst_of_ldap_and_xmpp() {
    let trust = Trust::new();
    let slapd = Slapd::start(&trust.scratch, &trust.identity).await;
    let prosody = Prosody::start(&trust.scratch, &trust.identity, "service.test").await;
    let all = [
        Spoken::new("ldap", slapd.port, slapd.port),
        Spoken::new("xmpp", prosody.port, prosody.port),
    ];
    for spoken in &all {
        begins_tls(spoken, &trust).await;
    }
    drop((slapd, prosody));
    is_closed(&all, &trust).await;
}
