//! `negate`: a check turned round. What it describes must not be there: the port must be closed,
//! the name must not resolve, the page must not be served, the login must not succeed.
//!
//! It stands here once, around the kinds, and turns their outcomes by what they say of presence. What
//! says nothing about the target stays Unknown, and so does what leaves open whether it would have
//! answered: silence of a name server, or of a service that took the connection, an answer of 5xx,
//! and whatever a proxy on the way fails at. Nothing is green by it.

use std::time::Duration;

use crosscheck_model::spec::Source;
use crosscheck_model::{Cause, Family, Outcome, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::presence::{Presence, Sighting};
use super::{Check, Defaults, Kind, SettingsError};
use crate::env::Env;
use crate::gather::Endpoint;

/// The word in the settings.
const WORD: &str = "negate";

/// A kind whose checks may be turned round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Negatable<K>(pub(super) K);

impl<K: Kind> Kind for Negatable<K> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn about(&self) -> &'static str {
        self.0.about()
    }

    fn defaults(&self) -> Defaults {
        self.0.defaults()
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        self.0.causes()
    }

    fn turned_round(&self) -> &'static str {
        self.0.turned_round()
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let mut schema = self.0.schema(generator);
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        if let Some(properties) = properties {
            let about = format!("Turned round: {}.", self.0.turned_round());
            let word = json!({ "type": "boolean", "default": false, "description": about });
            properties.insert(WORD.to_owned(), word);
        }
        schema
    }

    fn parse(&self, settings: &Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let mut settings = settings.clone();
        let word = settings.as_object_mut().and_then(|settings| settings.remove(WORD));
        let check = self.0.parse(&settings);
        match word {
            None | Some(Value::Bool(false)) => check,
            Some(Value::Bool(true)) => Ok(Box::new(Negated(check?))),
            Some(other) => {
                let message = format!("`negate` is `true` or `false`, but this is `{other}`");
                let mut errors = check.err().unwrap_or_default();
                errors.push(SettingsError { path: vec![WORD.to_owned()], message, hint: None });
                Err(errors)
            }
        }
    }
}

/// Whether a check of these settings (JSON) is turned round: for whoever takes reports of its own.
pub fn is_turned(settings: &str) -> bool {
    let settings: Option<Value> = serde_json::from_str(settings).ok();
    settings.and_then(|settings| settings.get(WORD)?.as_bool()).unwrap_or(false)
}

/// A check turned round.
struct Negated(Box<dyn Check>);

impl Check for Negated {
    fn target(&self) -> String {
        self.0.target()
    }

    fn family(&self) -> Family {
        self.0.family()
    }

    fn source(&self) -> Source {
        self.0.source()
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.0.endpoint()
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.0.look(env, deadline).map(turned).boxed()
    }
}

fn turned(Sighting { mut outcome, presence }: Sighting) -> Outcome {
    match (presence, outcome.cause) {
        (Presence::There, why) => {
            outcome.detail = match why {
                Some(why) => format!("it answers, though with a flaw ({why}: {})", outcome.detail),
                None => "it answers".to_owned(),
            };
            (outcome.status, outcome.cause) = (Status::Down, Some(Cause::Answers));
        }
        (Presence::NotThere, _) => {
            (outcome.status, outcome.cause) = (Status::Up, None);
            outcome.detail.clear();
            outcome.excerpt.clear();
        }
        (Presence::Unclear, _) => {
            if outcome.status == Status::Down {
                outcome.detail = format!("it may be there or not: {}", outcome.detail);
            }
            outcome.status = Status::Unknown;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::A;
    use tokio::net::TcpListener;

    use super::*;
    use crate::env::Secrets;
    use crate::guard::Guard;
    use crate::kind::{dns::Dns, tcp::Tcp};
    use crate::programs::Programs;
    use crate::resolve::Resolver;
    use crate::resolve::scripted::{NameServer, record, reply};

    const PLENTY: Duration = Duration::from_secs(20);

    async fn run(kind: &dyn Kind, mut settings: Value, guard: Guard) -> Outcome {
        settings["negate"] = json!(true);
        let env = Env {
            guard,
            resolver: Resolver::new(Vec::new()),
            secrets: Secrets::default(),
            programs: Programs::default(),
        };
        kind.parse(&settings).expect("well-formed").run(&env, PLENTY).await
    }

    #[tokio::test]
    async fn a_port_must_be_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let settings = json!({ "address": listener.local_addr().expect("bound").to_string() });
        let outcome = run(&Negatable(Tcp), settings.clone(), Guard::Internal).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Answers)));
        assert_eq!(outcome.detail, "it answers");
        let slow = json!({ "address": settings["address"], "slower_than": "0s" });
        let outcome = run(&Negatable(Tcp), slow, Guard::Internal).await;
        assert_eq!(outcome.cause, Some(Cause::Answers), "slow, but there");
        assert!(outcome.detail.contains("slow: took"), "{}", outcome.detail);
        drop(listener);
        let outcome = run(&Negatable(Tcp), settings.clone(), Guard::Internal).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{outcome:?}");
        assert_eq!((outcome.detail.as_str(), outcome.excerpt.as_str()), ("", ""));
        let outcome = run(&Negatable(Tcp), settings, Guard::public()).await;
        let blocked = (Status::Unknown, Some(Cause::BlockedAddress));
        assert_eq!((outcome.status, outcome.cause), blocked, "nobody has looked");
    }

    #[tokio::test]
    async fn a_name_must_not_resolve() {
        for (there, status) in [(true, Status::Down), (false, Status::Up)] {
            let server = NameServer::answering(move |query| {
                let code = if there { ResponseCode::NoError } else { ResponseCode::NXDomain };
                let mut message = reply(query, code);
                if there {
                    message.add_answer(record("a.test.", RData::A(A::new(192, 0, 2, 1))));
                }
                message
            })
            .await;
            let address = server.address.to_string();
            let settings = json!({ "name": "a.test", "type": "A", "server": address });
            let outcome = run(&Negatable(Dns), settings, Guard::Internal).await;
            assert_eq!(outcome.status, status, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_name_server_that_does_not_say_leaves_it_open() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let closed = closed.local_addr().expect("bound").to_string();
        let refuses = NameServer::answering(|query| reply(query, ResponseCode::Refused)).await;
        let rows = [
            json!({ "server": closed }),
            json!({ "server": closed, "transport": "tcp" }),
            json!({ "server": "no-such-server.invalid" }),
            json!({ "server": refuses.address.to_string() }),
        ];
        for mut settings in rows {
            (settings["name"], settings["type"]) = (json!("a.test"), json!("A"));
            let outcome = run(&Negatable(Dns), settings.clone(), Guard::Internal).await;
            assert_eq!(outcome.status, Status::Unknown, "{settings}: {outcome:?}");
        }
    }

    #[test]
    fn every_outcome_is_turned_by_its_cause() {
        let up = Outcome::new(Status::Up, None, "");
        assert_eq!(turned(Sighting::by_cause(up)).cause, Some(Cause::Answers));
        for cause in Cause::ALL {
            let before = Outcome::new(crate::dial::status_of(*cause), Some(*cause), "words");
            let after = turned(Sighting::by_cause(before.clone()));
            let wanted = match before.status {
                Status::Up | Status::Degraded => Status::Down,
                Status::Unknown => Status::Unknown,
                Status::Down => match cause {
                    Cause::Elements => Status::Down,
                    Cause::DnsServfail
                    | Cause::DnsRefused
                    | Cause::DnsTimeout
                    | Cause::DnsTruncated
                    | Cause::TlsTimeout
                    | Cause::SendTimeout
                    | Cause::FirstByteTimeout
                    | Cause::TransferTimeout
                    | Cause::TlsUntrusted
                    | Cause::TlsName
                    | Cause::TlsExpired
                    | Cause::TlsHandshake
                    | Cause::TooLarge
                    | Cause::Redirect
                    | Cause::Average
                    | Cause::ServerError
                    | Cause::Token
                    | Cause::Ocsp
                    | Cause::PluginCritical
                    | Cause::ExecTimeout
                    | Cause::NoReport
                    | Cause::JobFailed
                    | Cause::JobWarning
                    | Cause::LameServer
                    | Cause::DomainUnregistered
                    | Cause::DomainExpired
                    | Cause::DomainStatus
                    | Cause::SerialDisagreement
                    | Cause::DnssecUnsigned
                    | Cause::DnssecBogus
                    | Cause::Answers => Status::Unknown,
                    _ => Status::Up,
                },
            };
            assert_eq!(after.status, wanted, "{cause}");
            assert_eq!(after.cause.is_none(), wanted == Status::Up, "{cause}");
            assert_eq!(
                after.cause == Some(Cause::Answers),
                wanted == Status::Down || *cause == Cause::Answers,
                "{cause}"
            );
        }
        for (percent, status) in [(60.0, Status::Down), (100.0, Status::Up)] {
            let mut outcome = Outcome::new(Status::Down, Some(Cause::Loss), "words");
            outcome.values.insert("loss_percent".to_owned(), percent);
            assert_eq!(
                turned(Sighting::by_cause(outcome)).status,
                status,
                "{percent} % of echo replies lost"
            );
        }
    }

    #[test]
    fn the_word_is_read_with_the_other_settings() {
        let parse = |settings: Value| Negatable(Tcp).parse(&settings).map(|_| ());
        assert_eq!(parse(json!({ "address": "a:1", "negate": false })), Ok(()));
        let errors = parse(json!({ "address": "a", "negate": "yes" })).expect_err("two faults");
        let paths: Vec<String> = errors.iter().map(|error| error.path.join(".")).collect();
        assert_eq!(paths, ["address", "negate"]);
    }
}
