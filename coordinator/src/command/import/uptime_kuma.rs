//! Uptime Kuma: monitors, notifications, tags and maintenance of its backup, a JSON file.
//!
//! A backup has every key of every monitor, most of them with the value that its form began with:
//! only what differs from that, and was not carried over, is told ([`usual`]).

mod http;
mod told;
mod types;
mod usual;

use std::time::Duration;

use super::check::Check;
use super::draft::{Draft, variable, why};
use super::tree::{Input, Node};
use super::written::Out;
use super::{Source, json, time};

/// The most attempts that a check makes, and the longest pause between two.
const ATTEMPTS: u32 = 10;
const LONGEST_GAP: Duration = Duration::from_secs(600);

/// The backup (Settings, Backup, Export).
pub(super) struct UptimeKuma;

impl Source for UptimeKuma {
    fn name(&self) -> &'static str {
        "uptime-kuma"
    }

    fn read(&self, file: &Input, _: Option<&Input>, draft: &mut Draft) -> Result<(), String> {
        let root = json::read(file)?;
        let Some(monitors) = root.get("monitorList") else {
            return Err(format!("{}: no `monitorList`; is it a backup of Uptime Kuma?", file.name));
        };
        // Keyed by number in some versions.
        let monitors: Vec<&Node> = match monitors.entries() {
            [] => monitors.items().iter().collect(),
            entries => entries.iter().map(|(_, monitor)| monitor).collect(),
        };
        let mut reading =
            Reading { file: &file.name, draft, root: &root, monitors, made: Vec::new() };
        for monitor in reading.monitors.clone() {
            reading.monitor(monitor);
            for (key, node) in monitor.entries() {
                reading.unread(key, node);
            }
        }
        reading.notifications();
        reading.maintenance();
        for proxy in root.get("proxyList").map(Node::items).unwrap_or_default() {
            if proxy.unseen().len() == proxy.entries().len() {
                reading.lose(proxy, "proxy", "left out: no monitor uses it");
            }
        }
        if let Some(version) = root.get("version") {
            version.done();
        }
        draft.lose_unseen(&file.name, &root);
        Ok(())
    }
}

struct Reading<'a> {
    file: &'a str,
    draft: &'a mut Draft,
    root: &'a Node,
    monitors: Vec<&'a Node>,
    /// Numbers of monitors, the checks made of them, and the notifications that they use.
    made: Vec<(String, String, Vec<String>)>,
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

    /// A key of a monitor at which nobody has looked: of no weight if it is as it always is.
    fn unread(&mut self, key: &str, node: &Node) {
        let in_it = Node::of_entry(key, node);
        if usual::is_usual(key, node) || in_it.unseen().is_empty() {
            node.done();
        } else if usual::is_shown_only(key) {
            self.pass(node, &format!("monitor `{key}`"), why::SHOWN);
        } else {
            let why = "not known, or not used by monitors of this type";
            self.pass(node, &format!("monitor `{key}`"), why);
        }
    }

    fn monitor(&mut self, node: &Node) {
        let name = self.title(node);
        let kind = node.text_of("type").unwrap_or_default();
        if kind == "group" {
            return self.group(node, &name);
        }
        if node.is_not("active") || node.is("forceInactive") {
            return self.lose(node, &name, "left out: it is paused, or its group is");
        }
        let Some(mut check) = self.check_of(node, &name, kind) else { return };
        if node.is("upsideDown") {
            check.set("negate", Out::word(true));
        }
        self.terms(node, &name, &mut check);
        self.keep(node, check);
    }

    /// Its name stands before those of its monitors; it has no state of its own.
    fn group(&mut self, node: &Node, name: &str) {
        let has_means = !means_of(node).is_empty();
        if has_means {
            let why = "a group is not told of by itself: each of its checks is";
            self.note(node, &format!("group {name}: notifications"), why);
        }
        if node.is("upsideDown") {
            self.note(node, &format!("group {name}: `upsideDown`"), "a group has no state here");
        }
        self.tags(node, &format!("group {name}"));
        node.done();
    }

    fn keep(&mut self, node: &Node, check: Check) {
        let number = node.text_of("id").unwrap_or_default().to_owned();
        let means = means_of(node);
        let made = self.draft.check(check);
        self.made.push((number, made, means));
    }

    /// The name, behind those of the groups that it is in.
    fn title(&self, node: &Node) -> String {
        let mut names = vec![node.text_of("name").unwrap_or_default()];
        let mut parent = node.text_of("parent");
        while let (Some(number), true) = (parent, names.len() < 8) {
            let found = self.monitors.iter().find(|other| other.text_of("id") == Some(number));
            names.extend(found.and_then(|group| group.text_of("name")));
            parent = found.and_then(|group| group.text_of("parent"));
        }
        names.reverse();
        names.join(" ")
    }

    fn terms(&mut self, node: &Node, name: &str, check: &mut Check) {
        let of = |key| node.text_of(key).and_then(time::seconds).filter(|time| !time.is_zero());
        let interval = of("interval");
        // Older versions wait for four fifths of the interval.
        let timeout = of("timeout").or_else(|| Some(interval?.mul_f64(0.8)));
        check.times(interval, timeout, self.draft);
        let retries: u32 = node.text_of("maxretries").and_then(|n| n.parse().ok()).unwrap_or(0);
        let attempts = retries.saturating_add(1);
        if attempts > ATTEMPTS {
            self.note(node, &format!("{name}: `maxretries`"), "a check makes 10 attempts at most");
        }
        check.term("attempts", Out::word(attempts.min(ATTEMPTS)));
        if let Some(gap) = of("retryInterval").filter(|_| retries > 0) {
            if gap > LONGEST_GAP {
                self.note(node, &format!("{name}: `retryInterval`"), "10 minutes at most");
            }
            check.term("attempt_gap", time::ours(gap.min(LONGEST_GAP)));
        }
        check.alarm("after", Out::word(1));
        if let Some(text) = node.text_of("description").filter(|text| !text.trim().is_empty()) {
            check.term("runbook", Out::text(text));
        }
        if let Some(resend) = node.get("resendInterval").filter(|node| node.text() != Some("0")) {
            let why = "nobody is reminded here: an alarm is told once";
            self.lose(resend, &format!("{name}: `resendInterval`"), why);
        }
        self.tags(node, name);
    }

    fn tags(&mut self, node: &Node, name: &str) {
        let Some(list) = node.get("tags") else { return };
        let tag = |tag: &Node| {
            let name = tag.text_of("name").or(tag.text())?;
            match tag.text_of("value").filter(|value| !value.is_empty()) {
                Some(value) => Some(format!("{name}: {value}")),
                None => Some(name.to_owned()),
            }
        };
        let tags: Vec<String> = list.items().iter().filter_map(tag).collect();
        if !tags.is_empty() {
            self.lose(list, &format!("{name}: tags {}", tags.join(", ")), why::LABELS);
        }
    }

    /// A reference in the place of what is not copied.
    fn secret(&mut self, node: &Node, name: &str, what: &str) -> String {
        let variable = variable(name, what);
        let why = format!("not copied; set the variable `{variable}` where the probe runs");
        self.note(node, &format!("{name}: {what}"), &why);
        format!("${{env:{variable}}}")
    }
}

/// The notifications that a monitor uses: a map from their numbers, or a list of them.
fn means_of(node: &Node) -> Vec<String> {
    let Some(list) = node.get("notificationIDList") else { return Vec::new() };
    let of_map = list.entries().iter().filter(|(_, on)| on.is_on()).map(|(n, _)| n.clone());
    let of_list = list.items().iter().filter_map(Node::text).map(str::to_owned);
    of_map.chain(of_list.filter(|_| list.entries().is_empty())).collect()
}
