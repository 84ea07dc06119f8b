//! Alerts: so many failures of so many runs. Ours count consecutive rounds.

use super::super::check::Check;
use super::super::tree::Node;
use super::super::written::Out;
use super::{Reading, each};

impl Reading<'_> {
    /// A check has one rule: of several alerts the one that comes first.
    pub(super) fn alerts(&mut self, node: &Node, name: &str, check: &mut Check) {
        let mut least: Option<u32> = None;
        let alerts = each(node, "alert");
        for alert in &alerts {
            let title = alert.text_of("name").unwrap_or(name);
            let what = format!("probe {name}: alert {title}");
            let condition = alert.get("condition");
            let of =
                |key| condition.and_then(|condition| condition.text_of(key)?.parse::<u32>().ok());
            let (failures, total) = (of("failures").unwrap_or(1).max(1), of("total").unwrap_or(0));
            if total > failures {
                let why = format!("{failures} of {total} there; here {failures} in a row");
                self.note(alert, &what, &why);
            }
            if alerts.len() > 1 {
                let why = "a check has one threshold; the least of all alerts was taken";
                self.note(alert, &what, why);
            }
            least = Some(least.map_or(failures, |least| least.min(failures)));
            self.alert_words(alert, &what, check);
        }
        if let Some(after) = least {
            check.alarm("after", Out::word(after));
        }
    }

    fn alert_words(&mut self, alert: &Node, what: &str, check: &mut Check) {
        for (key, value) in alert.entries() {
            let why = match key.as_str() {
                "playbook_url_template" if !value.peek().contains('@') => {
                    check.term("runbook", Out::text(value.text().unwrap_or_default()));
                    continue;
                }
                "playbook_url_template" => "write it as `runbook`, with its values",
                "dashboard_url_template"
                | "summary_template"
                | "details_template"
                | "other_info" => "mails are worded here",
                "severity" => "write `alarm: { severity: .. }`: disaster, high, average or warning",
                "repeat_interval_sec" => "nobody is reminded here: an alarm is told once",
                _ => continue,
            };
            self.lose(value, &format!("{what}: `{key}`"), why);
        }
    }

    /// Who is told: written by hand, for the mail server stands in variables there.
    pub(super) fn notify(&mut self, node: &Node, name: &str) {
        for alert in each(node, "alert") {
            for (key, value) in alert.get("notify").map(Node::entries).unwrap_or_default() {
                let what = format!("probe {name}: `notify`");
                match key.as_str() {
                    "email" => {
                        let to: Vec<&str> = value
                            .items()
                            .iter()
                            .flat_map(|item| match item.text() {
                                Some(address) => vec![address],
                                None => item.texts_of("to"),
                            })
                            .collect();
                        let why = format!(
                            "write a contact and a route for {}, and the mail channel",
                            to.join(", ")
                        );
                        self.lose(value, &what, &why);
                    }
                    "email_from" => {
                        self.lose(value, &what, "write it as the mail channel's `from`")
                    }
                    _ => {
                        let why = "write a route by a channel of this means, if there is one of it";
                        self.lose(value, &format!("{what} by {key}"), why);
                    }
                }
            }
        }
    }
}
