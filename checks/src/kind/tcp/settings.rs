//! The settings of `tcp`, as people write them.

use std::collections::BTreeSet;

use crosscheck_model::Family;
use schemars::JsonSchema;
use serde::Deserialize;

use super::script::{Expectation, Said, Script, Step};
use super::script::{SEARCH_LIMIT_BYTES, Template, WITHIN_LIMIT_BYTES};
use crate::document::nearest;
use crate::kind::SettingsError;
use crate::kind::service::{Place, TlsWords};
use crate::kind::spoken::{SendWords, Wanted};
use crate::text::{Address, BytePattern, Size, Span};
use crate::tls::{CertificateWanted, Identity};

/// Where to connect, and what to say and hear there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where to connect: `db.example.com:3306`.
    address: Address,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// What to send once connected; in double quotes YAML knows `\r\n`.
    send: Option<SendWords>,
    /// What must come back, anywhere in the first 64 KiB.
    expect: Option<Wanted>,
    /// What to send and expect, step by step.
    script: Option<Vec<StepWords>>,
    /// A run that takes longer is Degraded.
    slower_than: Option<Span>,
    /// TLS from the start.
    #[serde(default)]
    tls: bool,
    /// The name to ask for in TLS and to find in the certificate. Default: the address's host.
    server_name: Option<String>,
    /// A PEM file of the only roots to trust. Default: the system's.
    ca: Option<String>,
    /// A client certificate to show.
    client: Option<Identity>,
    /// What the certificate must be beyond trusted.
    certificate: Option<CertificateWanted>,
}

/// A step: it sends, then expects, then shakes hands for TLS.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepWords {
    /// What people call it; a failure names it.
    name: Option<String>,
    /// What to send. `{{1}}` and `{{name}}` are groups that earlier expectations have matched.
    send: Option<SendWords>,
    /// What must come then. What stands before it is passed over.
    expect: Option<Wanted>,
    /// The most that is looked through for it; 64 KiB when left out.
    within: Option<Size>,
    /// TLS begins after this step.
    #[serde(default)]
    starttls: bool,
}

impl Settings {
    /// The place and the script.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(super) fn into_parts(self) -> Result<(Place, Script), Vec<SettingsError>> {
        let mut errors = Vec::new();
        let mut steps = Vec::new();
        let mut groups = Groups::default();
        if let Some(script) = self.script {
            for (key, is_there) in
                [("send", self.send.is_some()), ("expect", self.expect.is_some())]
            {
                if is_there {
                    let hint = "make it a step of the script".to_owned();
                    let message = format!("`{key}` beside `script`");
                    errors.push(error(&[key], message, Some(hint)));
                }
            }
            for (index, words) in script.into_iter().enumerate() {
                let at = ["script".to_owned(), index.to_string()];
                steps.push(words.into_step(&at, Some(index + 1), &mut groups, &mut errors));
            }
        } else if self.send.is_some() || self.expect.is_some() {
            let words = StepWords {
                name: None,
                send: self.send,
                expect: self.expect,
                within: None,
                starttls: false,
            };
            steps.push(words.into_step(&[], None, &mut groups, &mut errors));
        }
        let starttls = steps.iter().filter(|step| step.starttls).count();
        if starttls > 1 {
            errors.push(error(&["script"], "more than one step with `starttls`".to_owned(), None));
        }
        let words = TlsWords {
            tls: self.tls,
            starttls: starttls > 0,
            server_name: self.server_name,
            ca: self.ca,
            client: self.client,
            certificate: self.certificate,
        };
        match Place::new(self.address, self.family, self.slower_than, words) {
            Ok(place) if errors.is_empty() => Ok((place, Script { steps })),
            Ok(_) => Err(errors),
            Err(mut more) => {
                // There it is the script that says so.
                more.iter_mut().filter(|found| found.path == ["starttls"]).for_each(|found| {
                    found.path = vec!["tls".to_owned()];
                });
                errors.append(&mut more);
                Err(errors)
            }
        }
    }
}

impl StepWords {
    fn into_step(
        self,
        at: &[String],
        number: Option<usize>,
        groups: &mut Groups,
        errors: &mut Vec<SettingsError>,
    ) -> Step {
        let mut refuse = |key: &str, message: String, hint: Option<String>| {
            let path: Vec<&str> = at.iter().map(String::as_str).chain([key]).collect();
            let path: Vec<&str> = path.into_iter().filter(|key| !key.is_empty()).collect();
            errors.push(error(&path, message, hint));
        };
        if self.send.is_none() && self.expect.is_none() && !self.starttls {
            let hint = "write `send`, `expect` or `starttls: true`".to_owned();
            refuse("", "a step that does nothing".to_owned(), Some(hint));
        }
        let said = self.send.map(|words| match words {
            SendWords::Bytes(hex) => Said::Bytes(hex.bytes().to_vec()),
            SendWords::Text(text) => {
                let template = Template::of(&text);
                for name in template.groups() {
                    if !groups.has(name) {
                        let message =
                            format!("`{{{{{name}}}}}` is no group of an earlier `expect`");
                        refuse("send", message, groups.hint(name));
                    }
                }
                Said::Text(template)
            }
        });
        let within = self.within.map_or(SEARCH_LIMIT_BYTES as u64, Size::bytes);
        if within == 0 || within > WITHIN_LIMIT_BYTES as u64 {
            let most = Size::new(WITHIN_LIMIT_BYTES as u64);
            refuse(
                "within",
                format!("`{}` is not looked through; write at most {most}", Size::new(within)),
                None,
            );
        }
        if self.within.is_some() && self.expect.is_none() {
            refuse("within", "`within` without `expect`".to_owned(), None);
        }
        let expectation = self.expect.map(|wanted| {
            if let Wanted::Pattern(pattern) = &wanted {
                groups.learn(pattern);
            }
            let length = wanted.least_bytes();
            if length as u64 > within {
                refuse("within", format!("what is expected has {length} bytes"), None);
            }
            Expectation { wanted, within: usize::try_from(within).unwrap_or(usize::MAX) }
        });
        let title = match (number, self.name) {
            (Some(number), Some(name)) => format!("step {number} ({name})"),
            (Some(number), None) => format!("step {number}"),
            (None, _) => String::new(),
        };
        Step { title, said, expectation, starttls: self.starttls }
    }
}

/// The groups that a step may refer to: names of all steps before, numbers of the last with groups.
#[derive(Default)]
struct Groups {
    names: BTreeSet<String>,
    numbers: usize,
}

impl Groups {
    fn learn(&mut self, pattern: &BytePattern) {
        let count = pattern.groups().count();
        if count > 0 {
            self.numbers = count;
        }
        self.names.extend(pattern.groups().filter_map(|(_, name)| name).map(str::to_owned));
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
            || name.parse().is_ok_and(|number| (1..=self.numbers).contains(&number))
    }

    fn hint(&self, wrong: &str) -> Option<String> {
        if self.names.is_empty() && self.numbers == 0 {
            return Some(
                "no step before has a group; write `expect: \"token=(\\\\w+)\\r\"`".to_owned(),
            );
        }
        nearest(wrong, self.names.iter().map(String::as_str))
    }
}

fn error(path: &[&str], message: String, hint: Option<String>) -> SettingsError {
    SettingsError { path: path.iter().map(|key| (*key).to_owned()).collect(), message, hint }
}
