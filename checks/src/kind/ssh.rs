//! `ssh`: reads the identification of an SSH server (RFC 4253, 4.2) and, where a fingerprint is
//! wanted, exchanges keys far enough to see its host key and that it holds it. Nobody logs in.

mod exchange;
mod fingerprint;
mod host_key;
mod packet;

use crosscheck_model::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use self::fingerprint::Fingerprint;
use super::service::{Place, Protocol, ServiceCheck, fits, settings};
use super::{Check, Kind, SettingsError, causes};
use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::resolve::Failure;
use crate::text::{List, Pattern};

/// Identifies an SSH server.
#[derive(Clone, Copy, Debug)]
pub struct Ssh;

/// The usual port.
const PORT: u16 = 22;

/// Lines that may come before the identification.
const LINES_LIMIT: usize = 64;

/// What this end calls itself.
const IDENTIFICATION: &str = "SSH-2.0-crosscheck";

settings!(plain {
    /// What the identification must match: `OpenSSH_9`.
    banner: Option<Pattern>,
    /// The host key's fingerprint, as `ssh-keygen -l` prints it, or several of which one must be.
    #[serde(default)]
    fingerprint: List<Fingerprint>,
    /// Which of its keys the server is asked for. Default: the first that it has of these.
    key: Option<KeyType>,
});

/// The type of a host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeyType {
    Ed25519,
    Ecdsa,
    Rsa,
}

impl KeyType {
    /// The algorithms to ask for (RFC 8709, RFC 5656, RFC 8332).
    const fn algorithms(wanted: Option<Self>) -> &'static str {
        match wanted {
            None => "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,rsa-sha2-512,rsa-sha2-256",
            Some(Self::Ed25519) => "ssh-ed25519",
            Some(Self::Ecdsa) => "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384",
            Some(Self::Rsa) => "rsa-sha2-512,rsa-sha2-256",
        }
    }
}

impl Kind for Ssh {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn about(&self) -> &'static str {
        "Reads an SSH server's identification, and wants the fingerprint of its host key, if told to."
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[
            causes::NAMES,
            causes::REACH,
            &[
                Cause::Protocol,
                Cause::ServerError,
                Cause::NotOffered,
                Cause::HostKey,
                Cause::Body,
                Cause::Slow,
            ],
        ]
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        if settings.key.is_some() && settings.fingerprint.is_empty() {
            let path = vec!["key".to_owned()];
            let message = "`key` without `fingerprint`".to_owned();
            return Err(vec![SettingsError { path, message, hint: None }]);
        }
        let place = settings.place(PORT)?;
        Ok(Box::new(ServiceCheck { place, protocol: settings }))
    }
}

impl Protocol for Settings {
    type Ready = ();

    fn prepare(&self, _: &Secrets) -> Result<(), SecretError> {
        Ok(())
    }

    async fn talk(&self, _: &Place, (): &(), dialogue: &mut Dialogue) -> Result<(), Failure> {
        dialogue.step("identification");
        let theirs = identification(dialogue).await?;
        dialogue.say(format!("{IDENTIFICATION}\r\n").as_bytes()).await?;
        fits(self.banner.as_ref(), &theirs, &format!("`{theirs}`"))?;
        if self.fingerprint.is_empty() {
            return Ok(());
        }
        dialogue.step("key exchange");
        let algorithms = KeyType::algorithms(self.key);
        let key = exchange::host_key(IDENTIFICATION, &theirs, algorithms, dialogue).await?;
        dialogue.step("host key");
        let seen = Fingerprint::of(&key.blob);
        if self.fingerprint.contains(&seen) {
            return Ok(());
        }
        let detail = format!("the {} key is {seen}, which is not wanted", key.algorithm);
        Err(Failure::new(Cause::HostKey, detail))
    }

    /// "Disconnected by application", for which no keys are needed.
    fn farewell(&self) -> &'static [u8] {
        &[0, 0, 0, 20, 6, 1, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }
}

/// The server's identification. Lines before it are for people.
async fn identification(dialogue: &mut Dialogue) -> Result<String, Failure> {
    for _ in 0..LINES_LIMIT {
        let line = dialogue.line().await?;
        let Some(rest) = line.strip_prefix("SSH-") else { continue };
        if !rest.starts_with("2.0-") && !rest.starts_with("1.99-") {
            let detail = format!("`{line}` is of an SSH that nobody speaks any more");
            return Err(Failure::new(Cause::Protocol, detail));
        }
        return Ok(line);
    }
    let detail = format!("no identification of SSH in {LINES_LIMIT} lines");
    Err(Failure::new(Cause::Protocol, detail))
}

#[cfg(test)]
mod tests {
    use crosscheck_model::Status;
    use serde_json::json;

    use super::*;
    use crate::kind::service::scripted::{Turn, refusals, run};

    const KEY: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

    #[tokio::test]
    async fn an_identification_is_enough() {
        let outcome = run(
            &Ssh,
            json!({ "banner": "Open" }),
            &[
                Turn::Says("Authorised people only\r\nSSH-2.0-OpenSSH_9.2\r\n"),
                Turn::Hears("SSH-2.0-crosscheck\r\n"),
            ],
        )
        .await;
        assert_eq!(outcome.status, Status::Up, "{}", outcome.detail);
        let long: &'static str = "x\r\n".repeat(LINES_LIMIT).leak();
        let endless: &'static str = "x".repeat(9000).leak();
        for (said, cause, detail) in [
            ("SSH-2.0-drop", Cause::Reset, "the connection was closed in the midst of a line"),
            ("", Cause::Reset, "the connection was closed without a word"),
            ("SSH-2.0-dropbear\n", Cause::Body, "`SSH-2.0-dropbear` does not match `Open`"),
            ("SSH-1.5-OpenSSH\n", Cause::Protocol, "`SSH-1.5-OpenSSH` is of an SSH"),
            (long, Cause::Protocol, "no identification of SSH"),
            (endless, Cause::Protocol, "a line of more than 8192 bytes"),
        ] {
            let outcome = run(&Ssh, json!({ "banner": "Open" }), &[Turn::Says(said)]).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            let detail = format!("identification: {detail}");
            assert!(outcome.detail.starts_with(&detail), "{}", outcome.detail);
        }
    }

    #[tokio::test]
    async fn a_broken_key_exchange_is_told() {
        let disconnect = b"\0\0\0\x14\x04\x01\0\0\0\x02\0\0\0\x06go out\0\0\0\0";
        let table: [(&'static [u8], _, _); 6] = [
            (disconnect, Cause::ServerError, "the server disconnects: go out"),
            (b"\0\0\x90\0\x04", Cause::Protocol, "a packet of 36864 bytes"),
            (b"\0\0\0\0\x04", Cause::Protocol, "a packet of 0 bytes"),
            (b"\0\0\0\x0c\xff\x14abcdefghij", Cause::Protocol, "a packet that is all padding"),
            (b"\0\0\0\x0c\x04\x14abcdefghij", Cause::Protocol, "a key exchange that ends early"),
            (b"\0\0\0\x0c\x04", Cause::Reset, "the connection was closed after 1 of 12 bytes"),
        ];
        for (packet, cause, detail) in table {
            let turns = [Turn::Says("SSH-2.0-x\r\n"), Turn::SaysBytes(packet)];
            let outcome = run(&Ssh, json!({ "fingerprint": KEY }), &turns).await;
            assert_eq!(outcome.cause, Some(cause), "{}", outcome.detail);
            let detail = format!("key exchange: {detail}");
            assert!(outcome.detail.starts_with(&detail), "{}", outcome.detail);
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        refusals(
            &Ssh,
            &[
                (json!({ "address": "h", "key": "rsa" }), "key", "without `fingerprint`"),
                (
                    json!({ "address": "h", "key": "dsa", "fingerprint": KEY }),
                    "key",
                    "unknown variant",
                ),
                (
                    json!({ "address": "h", "fingerprint": "SHA256:abc" }),
                    "fingerprint",
                    "no fingerprint",
                ),
                (json!({ "address": "h", "tls": true }), "tls", "unknown field"),
            ],
        );
    }
}
