//! Who is told of what, and planned work.

use super::super::draft::Check;
use super::super::time;
use super::super::tree::{Node, Value};
use super::super::written::Out;
use super::{FAILURE_THRESHOLD, Reading, minute, references};

impl Reading<'_> {
    /// The means that it alerts by.
    pub(super) fn alerts(&mut self, node: &Node, name: &str, check: &mut Check) -> Vec<String> {
        let mut means = Vec::new();
        let (mut after, mut runbook): (Option<u32>, Option<String>) = (None, None);
        for alert in node.get("alerts").map(Node::items).unwrap_or_default() {
            let kind = alert.text_of("type").unwrap_or_default().to_owned();
            let alert = &with_defaults(alert, self.defaults.get(&kind));
            if alert.is_not("enabled") {
                continue;
            }
            let what = format!("{name}: alert `{kind}`");
            let threshold = alert.text_of("failure-threshold").and_then(|text| text.parse().ok());
            let threshold = threshold.unwrap_or(FAILURE_THRESHOLD);
            if after.is_some_and(|after| after != threshold) {
                self.lose(alert, &what, "a check has one threshold; the least was taken");
            }
            after = Some(after.map_or(threshold, |after| after.min(threshold)));
            for (key, value) in alert.entries() {
                let text = value.text().unwrap_or_default();
                let recovers =
                    format!("recovers after {text} good runs there; here by `recovery_hold`");
                let why = match key.as_str() {
                    "type" | "enabled" | "failure-threshold" => continue,
                    "success-threshold" if text == "2" => continue,
                    "success-threshold" => &recovers,
                    "description" => {
                        runbook.get_or_insert_with(|| text.to_owned());
                        continue;
                    }
                    "send-on-resolved" if !alert.is_not("send-on-resolved") => continue,
                    "send-on-resolved" => "a recovery is always told here",
                    "minimum-reminder-interval" => "nobody is reminded here: an alarm is told once",
                    "provider-override" => "write a route of this check, to contacts of its own",
                    _ => "not known",
                };
                self.lose(value, &format!("{what}: `{key}`"), why);
            }
            means.push(kind);
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
            for (key, value) in node.entries() {
                let why = match key.as_str() {
                    "host" | "port" | "from" | "to" | "username" | "password" => continue,
                    "default-alert" => continue, // Each alert has it.
                    "overrides" => "write routes of these checks, to contacts of their own",
                    "client" => "a mail server's certificate must be trusted, or its `ca` named",
                    _ => "not known",
                };
                self.lose(value, &format!("alerting by `email`: `{key}`"), why);
            }
            let (host, from) = (node.text_of("host"), node.text_of("from"));
            let (Some(host), Some(from)) = (host, from) else {
                self.lose(node, "alerting by `email`", "left out: it has no `host` and `from`");
                continue;
            };
            let port = node.text_of("port").unwrap_or("25");
            let scheme = if port == "465" { "smtps" } else { "smtp" };
            let mut channel = vec![
                ("smtp".to_owned(), Out::text(format!("{scheme}://{host}:{port}"))),
                ("from".to_owned(), Out::text(from)),
            ];
            if let Some(password) = node.get("password") {
                let user = node.text_of("username").unwrap_or(from);
                channel.push(("user".to_owned(), Out::text(references(user))));
                channel.push(("password".to_owned(), Out::text("${env:SMTP_PASSWORD}")));
                let why = "not copied; set the variable `SMTP_PASSWORD` where coordinators run";
                self.lose(password, "alerting by `email`: `password`", why);
            }
            self.draft.mail_channel(channel);
            let to: Vec<String> = node
                .text_of("to")
                .into_iter()
                .flat_map(|to| to.split(','))
                .map(|to| to.trim().to_owned())
                .filter(|to| !to.is_empty())
                .collect();
            self.draft.contact("gatus", &to);
            let checks = self.alerted.remove("email").unwrap_or_default();
            if !checks.is_empty() {
                let to = Out::texts(["gatus"]);
                self.draft.route(Out::map([("checks", Out::texts(checks)), ("to", to)]));
            }
        }
        for (means, checks) in std::mem::take(&mut self.alerted) {
            let why = format!("no route is made for it: {}", checks.join(", "));
            self.draft.lose(self.file, 0, &format!("alerts by `{means}`"), &why);
        }
    }

    /// A daily or weekly window; of all checks, if none are named.
    pub(super) fn maintenance(&mut self, node: Option<&Node>, checks: &[String]) {
        let Some(node) = node.filter(|node| !node.is_not("enabled")) else { return };
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
    Node { line: alert.line, value: Value::Map(entries) }
}
