//! Who is told, and planned work.

use super::super::json;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

impl Reading<'_> {
    /// Mail becomes a channel, contacts and routes.
    pub(super) fn notifications(&mut self) {
        for node in self.root.get("notificationList").map(Node::items).unwrap_or_default() {
            let name = node.text_of("name").unwrap_or("notification").to_owned();
            let what = format!("notification {name}");
            let settings =
                node.get("config").and_then(Node::text).map(|text| json::within(text, node.line));
            let Some(Ok(settings)) = settings else {
                self.lose(node, &what, "left out: its settings are not JSON");
                continue;
            };
            let kind = settings.text_of("type").unwrap_or_default();
            if kind != "smtp" {
                let why = format!(
                    "left out: only mail is carried over, not `{kind}`; set it up as a channel, if there is one of it"
                );
                self.lose(node, &what, &why);
                continue;
            }
            self.mail(node, &name, &settings);
        }
    }

    pub(super) fn mail(&mut self, node: &Node, name: &str, settings: &Node) {
        let host = settings.text_of("smtpHost").unwrap_or_default();
        let port = settings.text_of("smtpPort").unwrap_or("587");
        let scheme = if settings.is("smtpSecure") { "smtps" } else { "smtp" };
        if self.draft.has_channel() {
            self.lose(node, &format!("notification {name}"), "one mail server is used: the first");
        }
        // `"Uptime Kuma" <kuma@example.com>`: the address alone.
        let from = settings.text_of("smtpFrom").unwrap_or_default();
        let from =
            from.rsplit_once('<').map_or(from, |(_, rest)| rest.trim_end_matches('>')).trim();
        let mut channel = vec![
            ("smtp".to_owned(), Out::text(format!("{scheme}://{host}:{port}"))),
            ("from".to_owned(), Out::text(from)),
        ];
        if let Some(user) = settings.text_of("smtpUsername").filter(|user| !user.is_empty()) {
            channel.push(("user".to_owned(), Out::text(user)));
            channel.push(("password".to_owned(), Out::text("${env:SMTP_PASSWORD}")));
            let why = "not copied; set the variable `SMTP_PASSWORD` where coordinators run";
            self.lose(node, &format!("notification {name}: password"), why);
        }
        self.draft.mail_channel(channel);
        let lists =
            ["smtpTo", "smtpCC", "smtpBCC"].map(|key| settings.text_of(key).unwrap_or_default());
        let to: Vec<String> = lists
            .iter()
            .flat_map(|list| list.split(','))
            .map(|to| to.trim().to_owned())
            .filter(|to| !to.is_empty())
            .collect();
        let number = node.text_of("id").unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let contact: String = name.chars().map(plain).collect();
        self.draft.contact(&contact, &to);
        let of = |(_, check, means): &(String, String, Vec<String>)| {
            means.iter().any(|means| means == number).then(|| check.clone())
        };
        let checks: Vec<String> = self.made.iter().filter_map(of).collect();
        if !checks.is_empty() {
            let to = Out::texts([contact]);
            self.draft.route(Out::map([("checks", Out::texts(checks)), ("to", to)]));
        }
    }

    pub(super) fn maintenance(&mut self) {
        for node in self.root.get("maintenanceList").map(Node::items).unwrap_or_default() {
            let title = node.text_of("title").unwrap_or("maintenance").to_owned();
            if node.is_not("active") {
                continue;
            }
            let why = match self.window(node) {
                Some(window) => {
                    self.draft.maintenance(window);
                    continue;
                }
                None => "left out: only a single time, and weekly ones, are carried over",
            };
            self.lose(node, &format!("maintenance {title}"), why);
        }
    }

    /// Of the strategies, a single time and a weekly one.
    pub(super) fn window(&self, node: &Node) -> Option<Out> {
        let named = node.get("monitorList").map(Node::items).unwrap_or_default();
        let numbers: Vec<&str> =
            named.iter().filter_map(|item| item.text_of("id").or(item.text())).collect();
        let of = |(number, check, _): &(String, String, Vec<String>)| {
            numbers.contains(&number.as_str()).then(|| check.clone())
        };
        let checks: Vec<String> = self.made.iter().filter_map(of).collect();
        let checks = if numbers.is_empty() { vec!["*".to_owned()] } else { checks };
        if checks.is_empty() {
            return None;
        }
        let zone = node.text_of("timezoneOption").or_else(|| node.text_of("timezone"));
        let zone = zone.filter(|zone| zone.contains('/')).unwrap_or("UTC");
        let mut entries = vec![("checks".to_owned(), Out::texts(checks))];
        match node.text_of("strategy") {
            Some("single") => {
                let range = node.texts_of("dateRange");
                let [from, to] = range[..] else { return None };
                let short =
                    |text: &str| text.replace('T', " ").chars().take(16).collect::<String>();
                entries.push(("from".to_owned(), Out::text(short(from))));
                entries.push(("to".to_owned(), Out::text(short(to))));
            }
            Some("recurring-weekday") => {
                const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
                let days = node.texts_of("weekdays");
                let days = days.iter().filter_map(|day| DAYS.get(day.parse::<usize>().ok()? % 7));
                let days: Vec<&str> = days.copied().collect();
                let clock = |at: &Node| {
                    let of = |key| at.text_of(key).and_then(|text| text.parse::<u32>().ok());
                    Some(format!("{:02}:{:02}", of("hours")?, of("minutes")?))
                };
                let times: Vec<String> =
                    node.get("timeRange")?.items().iter().filter_map(clock).collect();
                let [from, to] = &times[..] else { return None };
                let every = format!("{} {from}-{to}", days.join(","));
                entries.push(("every".to_owned(), Out::text(every)));
            }
            _ => return None,
        }
        entries.push(("zone".to_owned(), Out::text(zone)));
        let reason = node.text_of("title").unwrap_or("planned work");
        entries.push(("reason".to_owned(), Out::text(reason)));
        Some(Out::Map(entries))
    }
}
