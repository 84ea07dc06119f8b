//! Settings made ready to run: each step's request compiled, and every use of a saved value
//! checked against what was saved before it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::Text;
use crosscheck_model::secret::Part;
use serde_json::{Map, Value};

use super::address::Address;
use super::save::Saving;
use super::settings::{OWN, Own, Settings};
use crate::document;
use crate::kind::http::client::Client;
use crate::kind::http::plan::Plan as Request;
use crate::kind::http::target::Target;
use crate::kind::http::template::{self, Piece};
use crate::kind::http::token::TokenSource;
use crate::kind::{self, SettingsError};

/// More steps than a person would write for one task; each costs the target a request.
const STEPS_AT_MOST: usize = 30;

/// More values than any task passes on; each may take 16 KiB.
const VALUES_AT_MOST: usize = 32;

/// The longest name of a step: it stands in a mail's one line.
const NAME_AT_MOST_CHARS: usize = 60;

/// Keys whose texts may hold saved values.
const OPEN: [&str; 5] = ["url", "headers", "send", "form", "send_json"];

/// A journey without anything left to parse.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// The servers that the steps name.
    pub(super) named: Vec<Target>,
    pub(super) slower_than: Option<Duration>,
    pub(super) reserve: Option<Duration>,
}

impl Plan {
    /// The step for which the journey is made: the last of those that do not run in any case.
    pub(super) fn decides(&self) -> usize {
        let last = self.steps.len().saturating_sub(1);
        self.steps.iter().rposition(|step| !step.always).unwrap_or(last)
    }
}

/// One request of it.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) address: Address,
    pub(super) save: Vec<Saving>,
    pub(super) always: bool,
    /// The names of the saved values that it sends.
    pub(super) needs: BTreeSet<String>,
}

/// Stands for a base that is none, so that only the base is complained of.
const NO_BASE: &str = "https://base.invalid";

/// What is known while the steps are read in order.
#[derive(Default)]
struct Reader {
    faults: Vec<SettingsError>,
    saved: BTreeSet<String>,
    /// Names that later steps save, or that no step does.
    ever_saved: BTreeSet<String>,
    before: Option<Target>,
    /// The base is a URL.
    has_base: bool,
    tokens: Vec<Arc<TokenSource>>,
}

impl Plan {
    /// Compiles the settings.
    pub(super) fn new(settings: Settings) -> Result<Self, Vec<SettingsError>> {
        let mut reader = Reader::default();
        reader.check_whole(&settings);
        reader.ever_saved = settings.steps.iter().flat_map(saved_names).collect();
        if reader.ever_saved.len() > VALUES_AT_MOST {
            let message = format!("{} saved values are too many", reader.ever_saved.len());
            reader.fault(&["steps"], message, Some(format!("at most {VALUES_AT_MOST}")));
        }
        let steps = settings.steps.iter().enumerate();
        let steps: Vec<Option<Step>> =
            steps.map(|(at, step)| reader.step(at, step, &settings)).collect();
        if !reader.faults.is_empty() {
            return Err(reader.faults);
        }
        let steps: Vec<Step> = steps.into_iter().flatten().collect();
        let fixed = |step: &Step| match step.address {
            Address::Saved(_) => None,
            _ => Some(step.client.target().clone()),
        };
        Ok(Self {
            named: steps.iter().filter_map(fixed).collect(),
            slower_than: settings.slower_than.map(crate::text::Span::get),
            reserve: settings.reserve.map(crate::text::Span::get),
            steps,
        })
    }
}

impl Reader {
    fn fault(&mut self, path: &[&str], message: impl Into<String>, hint: Option<String>) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.faults.push(SettingsError { path, message: message.into(), hint });
    }

    /// What is wrong in the settings besides the steps.
    fn check_whole(&mut self, settings: &Settings) {
        let count = settings.steps.len();
        if count == 0 {
            let hint = "write a list of requests: `[{ url: \"https://..\" }]`";
            self.fault(&["steps"], "a journey without steps", Some(hint.to_owned()));
        } else if count > STEPS_AT_MOST {
            let hint = format!("at most {STEPS_AT_MOST}; make several journeys of it");
            self.fault(&["steps"], format!("{count} steps are too many"), Some(hint));
        }
        if let Some(base) = &settings.base {
            match Target::parse(base.trim()) {
                Ok(base) if base.url().query().is_some() => {
                    self.fault(&["base"], "a query in `base`, which paths continue", None);
                }
                Ok(_) => self.has_base = true,
                // A place within it: whoever looks for further faults leaves the base there.
                Err(why) => self.fault(&["base", "url"], why, None),
            }
        }
        for key in OWN.into_iter().chain(["url"]) {
            if settings.each.contains_key(key) {
                let message = format!("`{key}` is each step's own");
                self.fault(&["each", key], message, Some("write it in the steps".to_owned()));
            }
        }
        let always = |step: &Map<String, Value>| step.get("always") == Some(&Value::Bool(true));
        if settings.reserve.is_some() && !settings.steps.iter().any(always) {
            let hint = "mark the last steps with `always: true`, or leave it out".to_owned();
            self.fault(
                &["reserve"],
                "time is kept for steps that always run: none does",
                Some(hint),
            );
        }
    }

    /// Reads a step; `None` after faults. What it saves is known to the later ones in any case.
    fn step(&mut self, at: usize, step: &Map<String, Value>, all: &Settings) -> Option<Step> {
        let index = at.to_string();
        let known = self.faults.len();
        let (own, rest): (Map<_, _>, Map<_, _>) =
            step.clone().into_iter().partition(|(key, _)| OWN.contains(&key.as_str()));
        let own = kind::read::<Own>(&Value::Object(own));
        let own = own.map_err(|errors| self.within(&index, errors)).ok();
        let inherited: BTreeSet<String> =
            all.each.keys().filter(|key| !rest.contains_key(*key)).cloned().collect();
        let place = |key: &str| match inherited.contains(key) {
            true => vec!["each".to_owned()],
            false => vec!["steps".to_owned(), index.clone()],
        };
        let mut request = merged(&all.each, rest);
        let needs = self.needs(&request, place);
        if let Some(Value::String(bearer)) = request.get("bearer")
            && template::names(bearer).next().is_some()
        {
            request.remove("bearer"); // What is wrong with it has been said.
        }
        let client = self.request(&index, request, all.base.as_deref(), place);
        let save = own.as_ref().map(|own| self.savings(&index, own)).unwrap_or_default();
        self.saved.extend(saved_names(step));
        let (own, (client, address)) = (own?, client?);
        let name = own.name.unwrap_or_else(|| client.about());
        if name.chars().count() > NAME_AT_MOST_CHARS || name.chars().any(char::is_control) {
            let hint = format!("one line of at most {NAME_AT_MOST_CHARS} characters");
            self.fault(&["steps", &index, "name"], "no name for a step", Some(hint));
        }
        let step = Step { name, client, address, save, always: own.always, needs };
        (self.faults.len() == known).then_some(step)
    }

    fn request(
        &mut self,
        index: &str,
        mut request: Map<String, Value>,
        base: Option<&str>,
        place: impl Fn(&str) -> Vec<String>,
    ) -> Option<(Client, Address)> {
        let url = ["steps", index, "url"];
        let written = match request.get("url") {
            Some(Value::String(written)) => written.clone(),
            Some(_) => {
                self.fault(&url, "a URL is text", None);
                return None;
            }
            None => {
                self.fault(&url, "missing field `url`", None);
                return None;
            }
        };
        let base = base.map(|base| if self.has_base { base } else { NO_BASE });
        let address = Address::new(&written, base, self.before.as_ref());
        let (address, target) = match address {
            Ok(found) => found,
            Err(why) => {
                self.fault(&url, why, None);
                return None;
            }
        };
        self.before = Some(target.clone());
        request.insert("url".to_owned(), Value::String(target.to_string()));
        let planned = kind::read(&Value::Object(request)).and_then(Request::new);
        match planned {
            Ok(mut plan) => {
                plan.share_tokens(&mut self.tokens);
                Some((Client::new(plan), address))
            }
            Err(errors) => {
                for mut error in errors {
                    let key = error.path.first().map(String::as_str).unwrap_or_default();
                    let mut path = place(key);
                    path.append(&mut error.path);
                    self.faults.push(SettingsError { path, ..error });
                }
                None
            }
        }
    }

    /// The names that a step's texts need; what is not there in time is a fault.
    fn needs(
        &mut self,
        request: &Map<String, Value>,
        place: impl Fn(&str) -> Vec<String>,
    ) -> BTreeSet<String> {
        let mut needs = BTreeSet::new();
        for (key, value) in request {
            let mut path = place(key);
            path.push(key.clone());
            self.look(key, value, &mut path, &mut needs);
        }
        needs
    }

    fn look(
        &mut self,
        key: &str,
        value: &Value,
        path: &mut Vec<String>,
        needs: &mut BTreeSet<String>,
    ) {
        let text = match value {
            Value::String(text) => text,
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    path.push(at.to_string());
                    self.look(key, item, path, needs);
                    path.pop();
                }
                return;
            }
            Value::Object(fields) => {
                for (name, item) in fields {
                    path.push(name.clone());
                    self.look(key, item, path, needs);
                    path.pop();
                }
                return;
            }
            _ => return,
        };
        let place: Vec<&str> = path.iter().map(String::as_str).collect();
        match names(text) {
            // In a pattern or a text to compare with, braces are braces, unless they name a value.
            Err(_) if !OPEN.contains(&key) => {}
            Err(why) => {
                let hint = "saved values are `{{name}}`: letters, digits and `_`".to_owned();
                self.fault(&place, why, Some(hint));
            }
            Ok(names) if !OPEN.contains(&key) => {
                if let Some(name) = names.first() {
                    let hint = match key {
                        "bearer" => {
                            format!(
                                "write `headers: {{ Authorization: \"Bearer {{{{{name}}}}}\" }}`"
                            )
                        }
                        _ => format!("it may stand in {}", document::hint::list(&OPEN)),
                    };
                    self.fault(&place, "a saved value cannot stand here", Some(hint));
                }
            }
            Ok(names) => {
                for name in names {
                    self.need(&name, &place);
                    needs.insert(name);
                }
            }
        }
    }

    fn need(&mut self, name: &str, place: &[&str]) {
        if self.saved.contains(name) {
            return;
        }
        if self.ever_saved.contains(name) {
            let hint = "steps run in their order; save it in an earlier one".to_owned();
            self.fault(place, format!("`{name}` is not saved before this step"), Some(hint));
        } else {
            let near = document::nearest(name, self.ever_saved.iter().map(String::as_str));
            let hint = near.unwrap_or_else(|| {
                format!("write `save: {{ {name}: \"$..\" }}` in an earlier one")
            });
            self.fault(place, format!("no step saves `{name}`"), Some(hint));
        }
    }

    fn savings(&mut self, index: &str, own: &Own) -> Vec<Saving> {
        let mut savings = Vec::with_capacity(own.save.len());
        for (name, wanted) in &own.save {
            let place = ["steps", index, "save", name.as_str()];
            if !template::is_name(name) {
                let hint = "letters, digits and `_`, a letter first".to_owned();
                self.fault(&place, format!("`{name}` cannot be a value's name"), Some(hint));
            }
            match Saving::new(name, wanted) {
                Ok(saving) => savings.push(saving),
                Err(("", why)) => self.fault(&place, why, None),
                Err((key, why)) => self.fault(&[&place[..], &[key]].concat(), why, None),
            }
        }
        savings
    }

    fn within(&mut self, index: &str, errors: Vec<SettingsError>) {
        for mut error in errors {
            let mut path = vec!["steps".to_owned(), index.to_owned()];
            path.append(&mut error.path);
            self.faults.push(SettingsError { path, ..error });
        }
    }
}

/// The step's settings before those for all; headers are gathered from both.
fn merged(each: &Map<String, Value>, mut step: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in each {
        match (step.get_mut(key), value) {
            (None, _) => {
                step.insert(key.clone(), value.clone());
            }
            (Some(Value::Object(own)), Value::Object(shared)) if key == "headers" => {
                let has = |own: &Map<String, Value>, name: &str| {
                    own.keys().any(|own| own.eq_ignore_ascii_case(name))
                };
                for (name, value) in shared {
                    if !has(own, name) {
                        own.insert(name.clone(), value.clone());
                    }
                }
            }
            _ => {}
        }
    }
    step
}

fn saved_names(step: &Map<String, Value>) -> Vec<String> {
    let names = step.get("save").and_then(Value::as_object);
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

/// The names of saved values in a text, beside its secrets.
fn names(text: &str) -> Result<Vec<String>, String> {
    let Ok(text) = Text::new(text) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for part in text.parts() {
        let Part::Plain(plain) = part else { continue };
        for piece in template::pieces(plain)? {
            if let Piece::Saved(name) = piece {
                names.push(name.to_owned());
            }
        }
    }
    Ok(names)
}
