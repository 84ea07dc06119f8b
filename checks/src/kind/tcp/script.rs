//! A script: steps that send, expect, and shake hands for TLS.

use std::collections::BTreeMap;
use std::fmt;
use std::slice::Iter;

use crosscheck_model::secret;
use crosscheck_model::{Cause, Text};
use regex::bytes::Captures;

use crate::dialogue::Dialogue;
use crate::env::{SecretError, Secrets};
use crate::kind::service::Place;
use crate::kind::spoken::Wanted;
use crate::resolve::Failure;
use crate::text::BytePattern;

/// The most that is searched for what is expected, if people do not say: banners and replies are
/// far shorter.
pub(super) const SEARCH_LIMIT_BYTES: usize = 64 << 10;

/// The most that people may want: a probe runs thousands of checks at a time.
pub(super) const WITHIN_LIMIT_BYTES: usize = 1 << 20;

/// The most pieces in which an answer may come.
const PIECES_LIMIT: usize = 4096;

/// The most bytes that one expectation costs to search. Each piece is a new search over all, and
/// a target that drips bytes must not cost the probe its processor.
const SEARCHED_LIMIT_BYTES: usize = 256 << 20;

/// The steps in order.
pub(super) struct Script {
    /// The steps.
    pub(super) steps: Vec<Step>,
}

/// A step: it sends, then expects, then shakes hands.
pub(super) struct Step {
    /// What failures call it; empty for the only one.
    pub(super) title: String,
    /// What to send.
    pub(super) said: Option<Said>,
    /// What must come then.
    pub(super) expectation: Option<Expectation>,
    /// TLS begins after it.
    pub(super) starttls: bool,
}

/// What to send.
pub(super) enum Said {
    /// Text.
    Text(Template),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Text with groups of earlier expectations in it: `{{1}}`, `{{name}}`.
pub(super) struct Template(Vec<Part>);

enum Part {
    Plain(String),
    Secret(Text),
    Group(String),
}

/// What must come, and how far it is looked for.
pub(super) struct Expectation {
    /// What.
    pub(super) wanted: Wanted,
    /// The most bytes.
    pub(super) within: usize,
}

/// The values of a script's secrets, in the order of their use.
pub(super) struct Ready(Vec<String>);

/// What groups have matched: names of all steps before, numbers of the last with groups.
type Groups = BTreeMap<String, Vec<u8>>;

/// What a look at what came has found.
enum Look {
    /// It ends here.
    Found(usize),
    /// More may bring it.
    NotYet,
    /// Nothing can.
    Never,
}

impl Script {
    /// Reads the secrets.
    pub(super) fn read(&self, secrets: &Secrets) -> Result<Ready, SecretError> {
        let templates = self.steps.iter().filter_map(|step| match &step.said {
            Some(Said::Text(template)) => Some(template),
            _ => None,
        });
        let texts = templates.flat_map(|template| &template.0).filter_map(|part| match part {
            Part::Secret(text) => Some(text),
            _ => None,
        });
        texts.map(|text| secrets.resolve(text)).collect::<Result<_, _>>().map(Ready)
    }

    /// Follows the steps.
    ///
    /// # Errors
    /// What does not come as expected.
    pub(super) async fn follow(
        &self,
        place: &Place,
        ready: &Ready,
        dialogue: &mut Dialogue,
    ) -> Result<(), Failure> {
        let mut secrets = ready.0.iter();
        let mut groups = Groups::new();
        for step in &self.steps {
            dialogue.step(step.title.clone());
            match &step.said {
                Some(Said::Bytes(bytes)) => dialogue.say(bytes).await?,
                Some(Said::Text(template)) => {
                    dialogue.say(&template.filled(&mut secrets, &groups)).await?;
                }
                None => {}
            }
            if let Some(expectation) = &step.expectation {
                expectation.meet(dialogue, &mut groups).await?;
            }
            if step.starttls {
                place.secure(dialogue).await?;
            }
        }
        Ok(())
    }
}

impl Template {
    /// The text's parts. Secrets are told apart first, so no group can stand within a reference.
    pub(super) fn of(text: &Text) -> Self {
        let mut parts = Vec::new();
        for part in text.parts() {
            match part {
                secret::Part::Plain(plain) => split(plain, &mut parts),
                secret::Part::Secret(reference) => {
                    parts.extend(Text::new(reference.to_string()).ok().map(Part::Secret));
                }
            }
        }
        Self(parts)
    }

    /// The groups that it refers to.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Group(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// A group that took no part in its match is empty.
    fn filled(&self, secrets: &mut Iter<'_, String>, groups: &Groups) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Plain(text) => out.extend_from_slice(text.as_bytes()),
                Part::Secret(_) => {
                    out.extend(secrets.next().into_iter().flat_map(|text| text.bytes()));
                }
                Part::Group(name) => out.extend(groups.get(name).into_iter().flatten()),
            }
        }
        out
    }
}

/// Cuts `{{name}}` out of a text; braces around anything else are text.
fn split(text: &str, parts: &mut Vec<Part>) {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("{{") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        plain.push_str(before);
        let name = after.find("}}").map(|end| &after[..end]).filter(|name| is_name(name));
        let Some(name) = name else {
            // One brace, for the next may begin a group: `{{{x}}`.
            plain.push('{');
            rest = &rest[at + 1..];
            continue;
        };
        if !plain.is_empty() {
            parts.push(Part::Plain(std::mem::take(&mut plain)));
        }
        parts.push(Part::Group(name.to_owned()));
        rest = &after[name.len() + 2..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
}

/// As groups are called in regular expressions.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Expectation {
    /// Hears until it has come, and passes over it.
    async fn meet(&self, dialogue: &mut Dialogue, groups: &mut Groups) -> Result<(), Failure> {
        let mut searched = 0;
        for _ in 0..PIECES_LIMIT {
            let heard = dialogue.inbox();
            let heard = &heard[..heard.len().min(self.within)];
            searched += heard.len();
            match look(&self.wanted, heard, groups) {
                Look::Found(end) => {
                    dialogue.take(end);
                    return Ok(());
                }
                Look::Never => return Err(self.missing("what came")),
                Look::NotYet => {}
            }
            if heard.len() >= self.within || searched > SEARCHED_LIMIT_BYTES {
                break;
            }
            // More than is looked through, so that the excerpt shows no half of a secret.
            match dialogue.hear(self.within.max(SEARCH_LIMIT_BYTES)).await {
                Ok(0) => return Err(self.missing("what came before the end")),
                Ok(_) => {}
                // A server that goes on waiting has said what it has to say.
                Err(late)
                    if late.cause == Cause::TransferTimeout && !dialogue.inbox().is_empty() =>
                {
                    return Err(self.missing("what came until the run's end"));
                }
                Err(failure) => return Err(failure),
            }
        }
        let looked = dialogue.inbox().len().min(self.within);
        Err(self.missing(&format!("the first {looked} bytes")))
    }

    fn missing(&self, what: &str) -> Failure {
        Failure::new(Cause::Body, format!("{what} {}", self.wanted.missing()))
    }
}

/// Looks for what is wanted in what was heard so far.
fn look(wanted: &Wanted, heard: &[u8], groups: &mut Groups) -> Look {
    match wanted {
        _ if heard.is_empty() => Look::NotYet,
        Wanted::Bytes(hex) if heard.starts_with(hex.bytes()) => Look::Found(hex.bytes().len()),
        Wanted::Bytes(hex) if hex.bytes().starts_with(heard) => Look::NotYet,
        Wanted::Bytes(_) => Look::Never,
        Wanted::Text(_, pattern) | Wanted::Pattern(pattern) => {
            let Some(found) = pattern.captures(heard) else { return Look::NotYet };
            remember(pattern, &found, groups);
            Look::Found(found.get_match().end())
        }
    }
}

fn remember(pattern: &BytePattern, found: &Captures<'_>, groups: &mut Groups) {
    if pattern.groups().next().is_some() {
        groups.retain(|name, _| name.parse::<usize>().is_err());
    }
    for (number, name) in pattern.groups() {
        let bytes = found.get(number).map(|group| group.as_bytes().to_vec()).unwrap_or_default();
        groups.extend(name.map(|name| (name.to_owned(), bytes.clone())));
        groups.insert(number.to_string(), bytes);
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secrets>")
    }
}
