//! Gatus: endpoints with their conditions and alerts, suites, maintenance.

mod client;
mod condition;
mod dollar;
mod status;
mod suite;
mod target;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Check, reference_in};
use super::draft::{Draft, is_secret_header, variable, why};
use super::tree::{self, Input, Node};
use super::written::Out;
use super::{Source, time};

pub(super) use self::status::without;

/// Gatus' own defaults.
const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTS: u32 = 10;
const FAILURE_THRESHOLD: u32 = 3;

/// `config.yaml`.
pub(super) struct Gatus;

impl Source for Gatus {
    fn name(&self) -> &'static str {
        "gatus"
    }

    fn read(&self, file: &Input, _: Option<&Input>, draft: &mut Draft) -> Result<(), String> {
        let mut root = tree::yaml(file)?;
        dollar::expand(&mut root);
        if root.get("endpoints").or(root.get("suites")).is_none() {
            let name = &file.name;
            return Err(format!("{name}: neither `endpoints` nor `suites`; is it of Gatus?"));
        }
        let means = root.get("alerting").map(Node::entries).unwrap_or_default();
        let default = |(means, node): &(String, Node)| {
            Some((means.clone(), node.get("default-alert")?.clone()))
        };
        let defaults = means.iter().filter_map(default).collect();
        let mut reading = Reading { file: &file.name, draft, defaults, alerted: BTreeMap::new() };
        for endpoint in root.get("endpoints").map(Node::items).unwrap_or_default() {
            reading.endpoint(endpoint);
        }
        for suite in root.get("suites").map(Node::items).unwrap_or_default() {
            suite::suite(suite, &mut reading);
        }
        for endpoint in root.get("external-endpoints").map(Node::items).unwrap_or_default() {
            reading.external(endpoint);
        }
        reading.alerting(&root);
        reading.maintenance(root.get("maintenance"), &[]);
        reading.rest(&root);
        draft.lose_unseen(&file.name, &root);
        Ok(())
    }
}

/// A configuration while it is read.
struct Reading<'a> {
    file: &'a str,
    draft: &'a mut Draft,
    /// What alerts by a means say unless they say it themselves.
    defaults: BTreeMap<String, Node>,
    /// Checks and the groups that they are of, by the means that they alert by.
    alerted: BTreeMap<String, Vec<(String, String)>>,
}

impl Reading<'_> {
    /// Tells that this is not carried over.
    fn lose(&mut self, node: &Node, what: &str, why: &str) {
        node.done();
        self.draft.lose(self.file, node.line, what, why);
    }

    /// Tells it once for all places.
    fn pass(&mut self, node: &Node, what: &str, why: &str) {
        node.done();
        self.draft.pass(self.file, node.line, what, why);
    }

    /// Tells something of what is carried over.
    fn note(&mut self, node: &Node, what: &str, why: &str) {
        self.draft.lose(self.file, node.line, what, why);
    }

    /// What stands beside endpoints and suites.
    fn rest(&mut self, root: &Node) {
        for (key, node) in root.entries() {
            let why = match key.as_str() {
                "tunneling" => "targets behind an SSH tunnel need a probe behind it",
                "web"
                | "ui"
                | "storage"
                | "security"
                | "concurrency"
                | "debug"
                | "metrics"
                | "disable-monitoring-lock"
                | "skip-invalid-config-update" => {
                    "how the program itself runs is set in coordinator.yaml and probe.yaml"
                }
                "connectivity" => {
                    "write `references`, with it in `v4` or `v6`: probes test themselves with them"
                }
                "remote" => "apply the other installation's configuration here too",
                "announcements" => "the status page shows incidents and maintenance",
                _ => continue,
            };
            self.lose(node, &format!("`{key}`"), why);
        }
    }

    fn endpoint(&mut self, node: &Node) {
        let name = self.name_of(node);
        if node.is_not("enabled") {
            return self.lose(node, &name, "left out: it is not enabled");
        }
        let Some(mut check) = self.target(node, &name) else { return };
        self.client(node, &name, &mut check);
        let mut registration = None;
        for condition in node.get("conditions").map(Node::items).unwrap_or_default() {
            let Some(text) = condition.text() else { continue };
            let applied = match text.starts_with("[DOMAIN_EXPIRATION]") {
                true => self.registration(node, &name, text, &mut registration),
                false => condition::apply(text, &mut check),
            };
            if let Err(why) = applied {
                self.lose(condition, &format!("{name}: condition `{text}`"), &why);
            }
        }
        status::any(&mut check);
        if check.is("websocket") && !check.has("expect") {
            check.set("expect", Out::text(".*")); // Any message.
        }
        let interval = self.time(node, "interval", &name, INTERVAL);
        let timeout = match node.get("client") {
            Some(client) => self.time(client, "timeout", &name, TIMEOUT),
            None => TIMEOUT,
        };
        check.times(Some(interval), Some(timeout), self.draft);
        let group = node.text_of("group").unwrap_or_default();
        let mut made = Vec::new();
        for mut check in [Some(check), registration].into_iter().flatten() {
            let means = self.alerts(&[(node, &name)], &mut check);
            let title = self.draft.check(check);
            for means in means {
                let alerted = self.alerted.entry(means).or_default();
                alerted.push((group.to_owned(), title.clone()));
            }
            made.push(title);
        }
        for window in node.get("maintenance-windows").map(Node::items).unwrap_or_default() {
            self.maintenance(Some(window), &made);
        }
        for (key, value) in node.entries() {
            match key.as_str() {
                "ui" => self.pass(value, "endpoint `ui`", why::SHOWN),
                "extra-labels" => self.pass(value, "endpoint `extra-labels`", why::LABELS),
                "store" | "always-run" => {
                    self.lose(value, &format!("{name}: `{key}`"), "it is for suites only");
                }
                _ => {}
            }
        }
    }

    /// A second check, of how long the domain in the URL is registered.
    fn registration(
        &self,
        node: &Node,
        name: &str,
        condition: &str,
        made: &mut Option<Check>,
    ) -> Result<(), String> {
        let days = condition::domain(condition)?;
        let host = node.text_of("url").map(host_of).unwrap_or_default();
        // Of more labels nobody can tell by the name which of them are registered.
        if host.split('.').count() != 2 {
            return Err("make a check of kind `domain` of what is registered".to_owned());
        }
        let title = format!("{name} registration");
        let mut check = Check::new(self.file, node.line, &title, "domain");
        check.set("name", Out::text(host));
        check.set("warn_days", days);
        *made = Some(check);
        Err("carried over as a check of kind `domain`: near its end a registration is degraded \
             here, not down"
            .to_owned())
    }

    /// What pushes its results: the token must be another, and is made by hand.
    fn external(&mut self, node: &Node) {
        let name = self.name_of(node);
        let what = format!("external endpoint {name}");
        if node.is_not("enabled") {
            return self.lose(node, &what, "left out: it is not enabled");
        }
        let every = node.get("heartbeat").and_then(|heartbeat| heartbeat.text_of("interval"));
        let every = every.unwrap_or("..");
        let why = format!(
            "left out: `crosscheck push token` makes a token and its digest; then write \
             `push: {{ every: {every}, token_sha256: .. }}` and let the job report there"
        );
        self.lose(node, &what, &why);
    }

    /// A duration, or what holds without it.
    fn time(&mut self, node: &Node, key: &str, name: &str, usual: Duration) -> Duration {
        let Some(value) = node.get(key) else { return usual };
        match value.text().and_then(time::go) {
            Some(found) => found,
            None => {
                let usual_text = time::ours(usual).flow();
                let why = format!("it is no duration; {usual_text} was taken");
                self.lose(value, &format!("{name}: `{key}`"), &why);
                usual
            }
        }
    }

    /// Group and name, as people tell endpoints apart.
    fn name_of(&mut self, node: &Node) -> String {
        let name = node.text_of("name").unwrap_or_default();
        let mut name = match node.text_of("group") {
            Some(group) => format!("{group} {name}"),
            None => name.to_owned(),
        };
        while let Some(reference) = reference_in(&name) {
            let plain = reference.trim_start_matches("${env:").trim_start_matches("${file:");
            name = name.replace(&reference, plain.trim_end_matches('}'));
            let why = format!("names have no variables: `{reference}` was written as it stands");
            self.note(node, &name, &why);
        }
        name
    }

    /// A header's text; where it says who asks, a reference.
    fn without_secret(&mut self, node: &Node, name: &str, header: &str, text: &str) -> String {
        if !is_secret_header(header) || reference_in(text).is_some() {
            return text.to_owned();
        }
        self.secret(node, name, &format!("header `{header}`"), header)
    }

    /// A reference in the place of what is not copied.
    fn secret(&mut self, node: &Node, name: &str, what: &str, of: &str) -> String {
        let variable = variable(name, of);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.lose(node, &format!("{name}: {what}"), &why);
        format!("${{env:{variable}}}")
    }
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let place = place.rsplit('@').next().unwrap_or(place);
    place.split(':').next().unwrap_or(place)
}

/// `23:30` as a minute of the day.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
