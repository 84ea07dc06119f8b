//! Who is told, and planned work.

use super::super::json;
use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

/// Days as Uptime Kuma and cron number them.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl Reading<'_> {
    /// Mail becomes a channel, contacts and routes.
    pub(super) fn notifications(&mut self) {
        for node in self.root.get("notificationList").map(Node::items).unwrap_or_default() {
            let name = node.text_of("name").unwrap_or("notification").to_owned();
            let what = format!("notification {name}");
            if node.is_not("active") {
                self.lose(node, &what, "left out: it is not active");
                continue;
            }
            for key in ["id", "isDefault", "active", "userId", "user_id", "applyExisting"] {
                node.get(key).into_iter().for_each(Node::done);
            }
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

    fn mail(&mut self, node: &Node, name: &str, settings: &Node) {
        let what = format!("notification {name}");
        let host = settings.text_of("smtpHost").unwrap_or_default();
        let port = settings.text_of("smtpPort").unwrap_or("587");
        let scheme = if settings.is("smtpSecure") { "smtps" } else { "smtp" };
        if self.draft.has_channel() {
            self.note(node, &what, "one mail server is used: the first");
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
            self.note(node, &format!("{what}: password"), why);
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
        self.mail_words(node, &what, settings);
        let number = node.text_of("id").unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let word: String = name.chars().map(plain).collect();
        let contact = match word.contains(|c: char| c != '-') && !self.draft.has_contact(&word) {
            true => word,
            false => format!("mail-{number}"),
        };
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

    /// What else its form has.
    fn mail_words(&mut self, node: &Node, what: &str, settings: &Node) {
        for (key, value) in settings.entries() {
            let why = match key.as_str() {
                "smtpHost" | "smtpPort" | "smtpSecure" | "smtpFrom" | "smtpTo" | "smtpCC"
                | "smtpBCC" | "smtpUsername" | "smtpPassword" | "type" | "name" | "isDefault"
                | "applyExisting" => continue,
                _ if value.says_nothing() => continue,
                "smtpIgnoreTLSError" => {
                    "a mail server's certificate must be trusted, or its `ca` named"
                }
                "smtpIgnoreSTARTTLS" => "mails travel encrypted; write `tls: none` for clear ones",
                "customSubject" | "customBody" | "htmlBody" => "mails are worded here",
                key if key.starts_with("smtpDkim") => "mails are signed by the mail server",
                _ => "not known",
            };
            self.note(node, &format!("{what}: `{key}`"), why);
        }
    }

    pub(super) fn maintenance(&mut self) {
        for node in self.root.get("maintenanceList").map(Node::items).unwrap_or_default() {
            let title = node.text_of("title").unwrap_or("maintenance").to_owned();
            let what = format!("maintenance {title}");
            if node.is_not("active") {
                self.lose(node, &what, "left out: it is not active");
                continue;
            }
            match self.window(node, &what) {
                Ok(window) => self.draft.maintenance(window),
                Err(why) => self.lose(node, &what, &why),
            }
            if let Some(text) = node.get("description").filter(|node| !node.peek().is_empty()) {
                self.lose(text, &format!("{what}: `description`"), "its title is the reason here");
            }
            // What follows from the rest.
            for key in
                ["id", "status", "timeslotList", "timezoneOffset", "durationMinutes", "duration"]
            {
                node.get(key).into_iter().for_each(Node::done);
            }
            for (key, value) in node.entries() {
                let is_begin = [("intervalDay", "1"), ("cron", "30 3 * * *")]
                    .iter()
                    .any(|(known, begin)| key == known && value.peek() == *begin);
                if is_begin || value.says_nothing() {
                    value.done();
                }
            }
        }
    }

    /// Of the strategies: a single time, a daily one, a weekly one.
    fn window(&mut self, node: &Node, what: &str) -> Result<Out, String> {
        let named = node.get("monitorList").map(Node::items).unwrap_or_default();
        let numbers: Vec<&str> =
            named.iter().filter_map(|item| item.text_of("id").or(item.text())).collect();
        named.iter().filter_map(|item| item.get("name")).for_each(Node::done);
        let of = |(number, check, _): &(String, String, Vec<String>)| {
            numbers.contains(&number.as_str()).then(|| check.clone())
        };
        let checks: Vec<String> = self.made.iter().filter_map(of).collect();
        let checks = if numbers.is_empty() { vec!["*".to_owned()] } else { checks };
        if checks.is_empty() {
            return Err("left out: none of its monitors became a check".to_owned());
        }
        let mut entries = vec![("checks".to_owned(), Out::texts(checks))];
        match node.text_of("strategy").unwrap_or_default() {
            "single" => {
                let range = node.texts_of("dateRange");
                let [from, to] = range[..] else {
                    return Err("left out: it has no begin and end".to_owned());
                };
                let short =
                    |text: &str| text.replace('T', " ").chars().take(16).collect::<String>();
                entries.push(("from".to_owned(), Out::text(short(from))));
                entries.push(("to".to_owned(), Out::text(short(to))));
            }
            strategy => {
                let days = days(strategy, node).ok_or_else(|| {
                    format!(
                        "left out: windows here are single, daily or weekly, and this one is \
                         `{strategy}`"
                    )
                })?;
                let times =
                    times(strategy, node).ok_or("left out: its times are not understood")?;
                entries.push(("every".to_owned(), Out::text(format!("{days} {times}"))));
                let bounds = node
                    .get("dateRange")
                    .filter(|range| range.items().iter().any(|date| !date.peek().is_empty()));
                if let Some(bounds) = bounds {
                    let why = "a window that comes again does so until it is taken out";
                    self.lose(bounds, &format!("{what}: `dateRange`"), why);
                }
            }
        }
        entries.push(("zone".to_owned(), Out::text(self.zone(node, what))));
        let reason = node.text_of("title").unwrap_or("planned work");
        entries.push(("reason".to_owned(), Out::text(reason)));
        Ok(Out::Map(entries))
    }

    /// Its zone, or that of the server, which some versions write beside it.
    fn zone(&mut self, node: &Node, what: &str) -> String {
        let names = ["timezoneOption", "timezone"].map(|key| node.text_of(key).unwrap_or_default());
        let is_zone = |name: &&str| name.contains('/') || *name == "UTC";
        match names.into_iter().find(is_zone) {
            Some(zone) => zone.to_owned(),
            None => {
                let why = "the zone of that server is not in the backup: UTC was taken";
                self.note(node, &format!("{what}: `timezoneOption`"), why);
                "UTC".to_owned()
            }
        }
    }
}

/// On which days it comes.
fn days(strategy: &str, node: &Node) -> Option<String> {
    let list = |days: Vec<&str>| {
        let names = days.iter().map(|day| DAYS.get(day.parse::<usize>().ok()? % 7).copied());
        Some(names.collect::<Option<Vec<_>>>()?.join(","))
    };
    match strategy {
        "recurring-weekday" => list(node.texts_of("weekdays")).filter(|days| !days.is_empty()),
        "recurring-interval" if node.text_of("intervalDay") == Some("1") => {
            Some("daily".to_owned())
        }
        "cron" => {
            let cron: Vec<&str> = node.text_of("cron")?.split_whitespace().collect();
            let [_, _, "*", "*", days] = cron[..] else { return None };
            if days == "*" { Some("daily".to_owned()) } else { list(days.split(',').collect()) }
        }
        _ => None,
    }
}

/// From when to when.
fn times(strategy: &str, node: &Node) -> Option<String> {
    if strategy == "cron" {
        let mut cron = node.text_of("cron")?.split_whitespace();
        let (minute, hour): (u32, u32) = (cron.next()?.parse().ok()?, cron.next()?.parse().ok()?);
        let lasts: u32 = node.text_of("durationMinutes")?.parse().ok()?;
        if lasts == 0 || lasts >= 24 * 60 {
            return None;
        }
        let end = (hour * 60 + minute + lasts) % (24 * 60);
        return Some(format!("{hour:02}:{minute:02}-{:02}:{:02}", end / 60, end % 60));
    }
    let clock = |at: &Node| {
        let of = |key| at.text_of(key).and_then(|text| text.parse::<u32>().ok());
        Some(format!("{:02}:{:02}", of("hours")?, of("minutes")?))
    };
    let range = node.get("timeRange")?.items();
    range.iter().filter_map(|at| at.get("seconds")).for_each(Node::done);
    let times: Vec<String> = range.iter().filter_map(clock).collect();
    let [from, to] = &times[..] else { return None };
    Some(format!("{from}-{to}"))
}
