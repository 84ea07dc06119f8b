//! The settings of `udp`, as people write them.

use std::time::Duration;

use crosscheck_model::{Cause, Family};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::kind::SettingsError;
use crate::kind::spoken::{SendWords, Wanted};
use crate::resolve::Failure;
use crate::text::{Address, Span};

/// Where to send what, and what must come back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where to send: `game.example.com:27015`.
    address: Address,
    /// The address family of a name; v4 when left out.
    family: Option<Family>,
    /// The datagram to send; nobody answers without one.
    send: Option<SendWords>,
    /// What the answer must be. Left out: any datagram will do.
    expect: Option<Wanted>,
    /// How many datagrams are looked at for it, 1 to 64.
    #[serde(default = "usual_among")]
    #[schemars(range(min = 1, max = AMONG_LIMIT))]
    among: u32,
    /// What to send and expect, step by step, instead of `send` and `expect`.
    script: Option<Vec<StepWords>>,
    /// The datagram is sent again each time nothing has come for so long: one may get lost.
    #[serde(default = "usual_resend")]
    resend: Span,
    /// A run that takes longer is Degraded.
    slower_than: Option<Span>,
}

/// A step: it sends a datagram, then expects one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepWords {
    /// What people call it; a failure names it.
    name: Option<String>,
    /// The datagram to send; left out: only more of the answer is expected.
    send: Option<SendWords>,
    /// What the answer must be. Left out: any datagram will do.
    expect: Option<Wanted>,
    /// How many datagrams are looked at for it, 1 to 64.
    #[serde(default = "usual_among")]
    #[schemars(range(min = 1, max = AMONG_LIMIT))]
    among: u32,
}

/// Most protocols answer one datagram with one.
const fn usual_among() -> u32 {
    1
}

/// A working server answers sooner, and one lost datagram must not cost a run its whole time.
const fn usual_resend() -> Span {
    Span::new(Duration::from_secs(1))
}

/// A run is a look, and not a download.
const AMONG_LIMIT: u32 = 64;

/// More often than this it would be a flood.
const RESEND_LEAST: Span = Span::new(Duration::from_millis(100));

/// What a check does.
pub(super) struct Plan {
    /// Where.
    pub(super) address: Address,
    /// Of a name.
    pub(super) family: Family,
    /// The steps in order, at least one; the first sends.
    pub(super) steps: Vec<Step>,
    /// After how long a datagram is sent again.
    pub(super) resend: Duration,
    /// Degraded beyond it.
    pub(super) slower_than: Option<Duration>,
}

/// A step of it.
pub(super) struct Step {
    /// What failures call it; empty for the only one.
    pub(super) title: String,
    /// What to send.
    pub(super) send: Option<SendWords>,
    /// What must come.
    pub(super) expect: Option<Wanted>,
    /// Among how many datagrams.
    pub(super) among: u32,
}

impl Step {
    /// The failure of a step for which only others came.
    pub(super) fn missing(&self, heard: u32) -> Failure {
        let what = match heard {
            1 => "the datagram that came".to_owned(),
            _ => format!("none of the {heard} datagrams that came is as wanted: the last"),
        };
        let missing = self.expect.as_ref().map(Wanted::missing).unwrap_or_default();
        Failure::new(Cause::Body, format!("{what} {missing}"))
    }
}

impl Settings {
    /// What to do.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn into_plan(self) -> Result<Plan, Vec<SettingsError>> {
        let mut errors = Vec::new();
        let family = self.address.family(self.family).unwrap_or_else(|refused| {
            errors.push(error(&["family"], refused.to_string(), None));
            Family::default()
        });
        if self.resend < RESEND_LEAST {
            let message = format!("`{}` is too often; write at least {RESEND_LEAST}", self.resend);
            errors.push(error(&["resend"], message, None));
        }
        let single = self.script.is_none();
        let words = match self.script {
            Some(script) => {
                for (key, is_there) in
                    [("send", self.send.is_some()), ("expect", self.expect.is_some())]
                {
                    if is_there {
                        let message = format!("`{key}` beside `script`");
                        errors.push(error(&[key], message, Some("make it a step of the script")));
                    }
                }
                script
            }
            None => {
                let (send, expect, among) = (self.send, self.expect, self.among);
                vec![StepWords { name: None, send, expect, among }]
            }
        };
        if words.first().is_none_or(|first| first.send.is_none()) {
            let hint = "write what to send: `send: \"status\\n\"`, or bytes: `{ hex: \"ff ff\" }`";
            let path: &[&str] = if single { &[] } else { &["script"] };
            errors.push(error(path, "nothing is sent, so nobody would answer", Some(hint)));
        }
        let steps: Vec<Step> = words
            .into_iter()
            .enumerate()
            .map(|(index, words)| words.into_step((!single).then_some(index), &mut errors))
            .collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let (resend, slower_than) = (self.resend.get(), self.slower_than.map(Span::get));
        Ok(Plan { address: self.address, family, steps, resend, slower_than })
    }
}

impl StepWords {
    fn into_step(self, index: Option<usize>, errors: &mut Vec<SettingsError>) -> Step {
        if self.among == 0 || self.among > AMONG_LIMIT {
            let message = format!("`{}` datagrams; write 1 to {AMONG_LIMIT}", self.among);
            match index.map(|index| index.to_string()) {
                Some(index) => errors.push(error(&["script", &index, "among"], message, None)),
                None => errors.push(error(&["among"], message, None)),
            }
        }
        let title = match (index.map(|index| index + 1), self.name) {
            (Some(number), Some(name)) => format!("step {number} ({name})"),
            (Some(number), None) => format!("step {number}"),
            (None, _) => String::new(),
        };
        Step { title, send: self.send, expect: self.expect, among: self.among }
    }
}

fn error(path: &[&str], message: impl Into<String>, hint: Option<&str>) -> SettingsError {
    let path = path.iter().map(|key| (*key).to_owned()).collect();
    SettingsError { path, message: message.into(), hint: hint.map(str::to_owned) }
}
