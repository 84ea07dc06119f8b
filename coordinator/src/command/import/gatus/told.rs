//! Who is told of what, and planned work.

use std::collections::BTreeMap;

use super::super::check::{Check, reference_in};
use super::super::time;
use super::super::tree::{Node, Value};
use super::super::written::Out;
use super::{FAILURE_THRESHOLD, Reading, minute};

/// Whom mail goes to that no group has for itself.
const CONTACT: &str = "gatus";

impl Reading<'_> {
    /// The means that these endpoints alert by, of which the check is made.
    pub(super) fn alerts(&mut self, of: &[(&Node, &String)], check: &mut Check) -> Vec<String> {
        let mut means = Vec::new();
        let (mut after, mut runbook): (Option<u32>, Option<String>) = (None, None);
        for (node, name) in of {
            for alert in node.get("alerts").map(Node::items).unwrap_or_default() {
                let kind = alert.text_of("type").unwrap_or_default().to_owned();
                let alert = &with_defaults(alert, self.defaults.get(&kind));
                let what = format!("{name}: alert `{kind}`");
                if alert.is_not("enabled") {
                    self.lose(alert, &what, "left out: it is not enabled");
                    continue;
                }
                let threshold = self.threshold(alert, &what);
                if after.is_some_and(|after| after != threshold) {
                    self.note(alert, &what, "a check has one threshold; the least was taken");
                }
                after = Some(after.map_or(threshold, |after| after.min(threshold)));
                let described = self.alert_words(alert, &what);
                runbook = runbook.or(described);
                means.push(kind);
            }
        }
        if let Some(text) = runbook {
            check.term("runbook", Out::text(text));
        }
        if let Some(after) = after {
            check.alarm("after", Out::word(after.max(1)));
        }
        means.sort();
        means.dedup();
        means
    }

    fn threshold(&mut self, alert: &Node, what: &str) -> u32 {
        let Some(given) = alert.get("failure-threshold") else { return FAILURE_THRESHOLD };
        match given.text().and_then(|text| text.parse().ok()) {
            Some(0) => FAILURE_THRESHOLD,
            Some(threshold) => threshold,
            None => {
                let why = format!("it is no number; {FAILURE_THRESHOLD} was taken");
                self.lose(given, &format!("{what}: `failure-threshold`"), &why);
                FAILURE_THRESHOLD
            }
        }
    }

    /// What else an alert says; its description is the runbook.
    fn alert_words(&mut self, alert: &Node, what: &str) -> Option<String> {
        let mut runbook = None;
        for (key, value) in alert.entries() {
            let recovers =
                format!("recovers after {} good runs there; here by `recovery_hold`", value.peek());
            let why = match key.as_str() {
                "success-threshold" => &recovers,
                "description" if reference_in(value.peek()).is_some() => {
                    "a runbook has no variables; write it with their values"
                }
                "description" if value.peek().contains("[BODY]") => {
                    "not copied; excerpts of what came are in mails by themselves"
                }
                "description" => {
                    runbook = value.text().map(str::to_owned);
                    continue;
                }
                "send-on-resolved" if value.peek() == "true" => {
                    value.done();
                    continue;
                }
                "send-on-resolved" => "a recovery is always told here",
                "minimum-reminder-interval" => "nobody is reminded here: an alarm is told once",
                "provider-override" => "write a route of this check, to contacts of its own",
                _ => continue,
            };
            self.lose(value, &format!("{what}: `{key}`"), why);
        }
        runbook
    }

    /// Mail becomes a channel, contacts and routes; other means are told.
    pub(super) fn alerting(&mut self, root: &Node) {
        let alerting = root.get("alerting");
        for (means, node) in alerting.map(Node::entries).unwrap_or_default() {
            if means != "email" {
                let why =
                    "only mail is carried over; set this up as a channel, if there is one of it";
                self.lose(node, &format!("alerting by `{means}`"), why);
                continue;
            }
            if let Some(client) = node.get("client") {
                let why = "a mail server's certificate must be trusted, or its `ca` named";
                self.lose(client, "alerting by `email`: `client`", why);
            }
            match self.mail_server(node) {
                Ok(channel) => {
                    self.draft.mail_channel(channel);
                    self.told_by_mail(node);
                }
                Err(why) => self.lose(node, "alerting by `email`", &why),
            }
        }
        for (means, checks) in std::mem::take(&mut self.alerted) {
            let names: Vec<String> = checks.into_iter().map(|(_, name)| name).collect();
            let why = format!("no route is made for it: {}", names.join(", "));
            self.draft.lose(self.file, 0, &format!("alerts by `{means}`"), &why);
        }
    }

    /// The channel's settings.
    fn mail_server(&mut self, node: &Node) -> Result<Vec<(String, Out)>, String> {
        let (host, from) = (node.text_of("host"), node.text_of("from"));
        let (Some(host), Some(from)) = (host, from) else {
            return Err("left out: it has no `host` and `from`".to_owned());
        };
        let port = node.text_of("port").unwrap_or("25");
        let place = format!("{host}:{port}");
        if let Some(reference) = reference_in(&place).or_else(|| reference_in(from)) {
            let why = "left out: a server and sender have no variables; write the value of";
            return Err(format!("{why} `{reference}`"));
        }
        let scheme = if port == "465" { "smtps" } else { "smtp" };
        let mut channel = vec![
            ("smtp".to_owned(), Out::text(format!("{scheme}://{place}"))),
            ("from".to_owned(), Out::text(from)),
        ];
        if let Some(password) = node.get("password") {
            let user = node.text_of("username").unwrap_or(from);
            channel.push(("user".to_owned(), Out::text(user)));
            let known = password.text().filter(|text| reference_in(text).is_some());
            channel
                .push(("password".to_owned(), Out::text(known.unwrap_or("${env:SMTP_PASSWORD}"))));
            if known.is_none() {
                let why = "not copied; set the variable `SMTP_PASSWORD` where coordinators run";
                self.lose(password, "alerting by `email`: `password`", why);
            }
        }
        Ok(channel)
    }

    /// Contacts, one for each group that has its own, and who of them is told of what.
    fn told_by_mail(&mut self, node: &Node) {
        let own: BTreeMap<String, &Node> = node
            .get("overrides")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| Some((item.text_of("group")?.to_owned(), item.get("to")?)))
            .collect();
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, check) in self.alerted.remove("email").unwrap_or_default() {
            let contact = match own.contains_key(&group) {
                true => format!("{CONTACT}-{}", word(&group)),
                false => CONTACT.to_owned(),
            };
            told.entry(contact).or_default().push(check);
        }
        let usual = node.get("to").map(|to| (CONTACT.to_owned(), to));
        let own = own.iter().map(|(group, to)| (format!("{CONTACT}-{}", word(group)), *to));
        for (contact, to) in usual.into_iter().chain(own) {
            let addresses = to.text().unwrap_or_default();
            if let Some(reference) = reference_in(addresses) {
                let why = format!(
                    "left out: addresses have no variables; write the value of `{reference}`"
                );
                self.lose(to, &format!("alerting by `email`: `to` ({contact})"), &why);
                continue;
            }
            let addresses: Vec<String> = addresses
                .split(',')
                .map(|to| to.trim().to_owned())
                .filter(|to| !to.is_empty())
                .collect();
            self.draft.contact(&contact, &addresses);
        }
        for (contact, checks) in told {
            let to = Out::texts([contact]);
            self.draft.route(Out::map([("checks", Out::texts(checks)), ("to", to)]));
        }
    }

    /// A daily or weekly window; of all checks, if none are named.
    pub(super) fn maintenance(&mut self, node: Option<&Node>, checks: &[String]) {
        let Some(node) = node else { return };
        if node.is_not("enabled") {
            return self.lose(node, "maintenance", "left out: it is not enabled");
        }
        let begin = node.text_of("start").and_then(minute);
        let length = node.text_of("duration").and_then(time::go);
        let (Some(begin), Some(length)) = (begin, length) else {
            return self.lose(node, "maintenance", "left out: no `start` and `duration`");
        };
        let minutes = u32::try_from(length.as_secs() / 60).unwrap_or(u32::MAX);
        if minutes == 0 || minutes >= 24 * 60 {
            return self.lose(
                node,
                "maintenance",
                "left out: it lasts less than a minute or more than a day",
            );
        }
        let end = (begin + minutes) % (24 * 60);
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        let days: Vec<String> =
            node.texts_of("every").iter().map(|day| day.chars().take(3).collect()).collect();
        let days = if days.is_empty() { "daily".to_owned() } else { days.join(",") };
        let zone = node.text_of("timezone").unwrap_or("UTC");
        let all = ["*".to_owned()];
        let checks = if checks.is_empty() { &all[..] } else { checks };
        self.draft.maintenance(Out::map([
            ("checks", Out::texts(checks.to_vec())),
            ("every", Out::text(format!("{days} {}-{}", clock(begin), clock(end)))),
            ("zone", Out::text(zone)),
            ("reason", Out::text("planned work")),
        ]));
    }
}

/// An alert with what it leaves to the means that it alerts by.
fn with_defaults(alert: &Node, defaults: Option<&Node>) -> Node {
    let defaults = defaults.map(Node::entries).unwrap_or_default();
    let missing = defaults.iter().filter(|(key, _)| alert.get(key).is_none());
    let all = alert.entries().iter().chain(missing);
    let entries = all.filter(|(_, node)| node.value != Value::Null).cloned().collect();
    Node::new(alert.line, Value::Map(entries))
}

/// A group in a contact's name.
fn word(group: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    group.chars().map(plain).collect()
}
