//! The keys of a document: one table, from which both the reader and the JSON Schema are made.

/// The keys of one kind of map.
#[derive(Debug)]
pub(crate) struct Table {
    /// What such a map is, with its article.
    pub(crate) what: &'static str,
    /// Its keys.
    pub(crate) fields: &'static [Field],
    /// The keys that must be there.
    pub(crate) required: &'static [&'static str],
}

/// A key.
#[derive(Debug)]
pub(crate) struct Field {
    /// The key.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) shape: Shape,
    /// What it means, in one sentence.
    pub(crate) about: &'static str,
}

/// What a value looks like.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text.
    Text,
    /// A list of texts, or one text.
    Texts,
    /// Yes or no.
    Flag,
    /// A duration (`30s`).
    Duration,
    /// A whole number from this.
    Count(u32),
    /// A number, or a share (`40%`).
    Number,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list of these words, or one.
    WordList(&'static [&'static str]),
    /// A map with these keys.
    Object(&'static Table),
    /// A map from names to such maps.
    Named(&'static Table),
    /// A list of such maps.
    List(&'static Table),
    /// One of these.
    OneOf(&'static [Self]),
    /// The channels: their kinds' names, each with its settings.
    Channels,
    /// The checks: such maps, with one more key, the kind's name.
    Checks(&'static Table),
}

impl Table {
    /// Whether the key is known.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// The keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.name)
    }
}

const fn field(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, shape, about }
}

/// Severities, worst first.
pub(crate) const SEVERITIES: &[&str] = &["disaster", "high", "average", "warning"];

/// Site quorums that are words.
pub(crate) const QUORUMS: &[&str] = &["diverse", "majority", "all", "any", "single"];

const SITES: Shape = Shape::OneOf(&[Shape::Texts, Shape::Object(&PICK)]);
const QUORUM: Shape = Shape::OneOf(&[Shape::Words(QUORUMS), Shape::Count(1)]);
const CUSTOMER: &str = "whose it is; left out: the installation's own";
const INTERVAL: &str = "between the starts of two runs";
const TIMEOUT: &str = "the most that one run may take, over all its phases";
const ATTEMPTS: &str = "failing attempts in a row until a probe is sure";
const GAP: &str = "from the end of a failed attempt to the next";
const AFTER: &str = "consecutive failing rounds until the alarm; 1: at once";
const SEVERITY: &str = "how bad a failure is";
const RETRY: &str = "between the starts of two runs while the target fails";
const HOLD: &str = "how long it must be well again until the incident closes";
const WHERE: &str = "which sites run it: `all`, a list of names, or how many to choose";
const DEPENDS: &str = "checks without which it cannot work: while one of them is down, who is told \
                       of that is not told of this";
const AGREE: &str = "how many sites must agree that it is down";

/// The document.
pub(crate) static DOCUMENT: Table = Table {
    what: "a document",
    required: &[],
    fields: &[
        field("customer", Shape::Text, "whose the checks, routes and maintenance of this file are"),
        field("sites", Shape::Named(&SITE), "where probes stand"),
        field("defaults", Shape::Object(&DEFAULTS), "what holds for checks that do not say it"),
        field("contacts", Shape::Named(&CONTACT), "people, and lists that several read"),
        field("channels", Shape::Channels, "by what means people are told"),
        field("routes", Shape::List(&ROUTE), "who is told of what; the first that fits counts"),
        field(
            "operators",
            Shape::Texts,
            "contacts that are told of the installation's own trouble",
        ),
        field("pages", Shape::Named(&PAGE), "status pages"),
        field("maintenance", Shape::List(&MAINTENANCE), "planned work, in which nobody is woken"),
        field("drills", Shape::List(&DRILL), "failures that are simulated regularly"),
        field("references", Shape::Object(&REFERENCES), "how probes find out that they are fit"),
        field("retention", Shape::Object(&RETENTION), "how long measurements are kept"),
        field("public_url", Shape::Text, "where people reach the coordinator, for links in mails"),
        field("checks", Shape::Checks(&CHECK), "what to test"),
    ],
};

/// A site.
pub(crate) static SITE: Table = Table {
    what: "a site",
    required: &["region", "carrier"],
    fields: &[
        field("region", Shape::Text, "where on earth it stands"),
        field("carrier", Shape::Text, "whose network it stands in"),
    ],
};

/// A number of sites for the coordinator to choose.
pub(crate) static PICK: Table = Table {
    what: "a choice of sites",
    required: &["count"],
    fields: &[
        field("count", Shape::Count(1), "how many; the most diverse ones are chosen"),
        field("region", Shape::Text, "only in regions that fit this pattern (`cn-*`)"),
    ],
};

/// The defaults of checks.
pub(crate) static DEFAULTS: Table = Table {
    what: "`defaults`",
    required: &[],
    fields: &[
        field("interval", Shape::Duration, INTERVAL),
        field("timeout", Shape::Duration, TIMEOUT),
        field("attempts", Shape::Count(1), ATTEMPTS),
        field("attempt_gap", Shape::Duration, GAP),
        field("severity", Shape::Words(SEVERITIES), SEVERITY),
        field("after", Shape::Count(1), AFTER),
        field("retry_interval", Shape::Duration, RETRY),
        field("recovery_hold", Shape::Duration, HOLD),
        field("sites", SITES, WHERE),
        field("site_quorum", QUORUM, AGREE),
    ],
};

/// A check, without its kind.
pub(crate) static CHECK: Table = Table {
    what: "a check",
    required: &["name"],
    fields: &[
        field("name", Shape::Text, "what people call it"),
        field("customer", Shape::Text, CUSTOMER),
        field("interval", Shape::Duration, INTERVAL),
        field("timeout", Shape::Duration, TIMEOUT),
        field("attempts", Shape::Count(1), ATTEMPTS),
        field("attempt_gap", Shape::Duration, GAP),
        field("alarm", Shape::Object(&ALARM), "when failures become an alarm, and how bad it is"),
        field("sites", SITES, WHERE),
        field("site_quorum", QUORUM, AGREE),
        field("runbook", Shape::Text, "what to do when it is down: text or a URL"),
        field("depends_on", Shape::Texts, DEPENDS),
    ],
};

/// An alarm rule.
pub(crate) static ALARM: Table = Table {
    what: "`alarm`",
    required: &[],
    fields: &[
        field("severity", Shape::Words(SEVERITIES), SEVERITY),
        field("after", Shape::Count(1), AFTER),
        field("average", Shape::Object(&AVERAGE), "instead of `after`: a value's average"),
        field("retry_interval", Shape::Duration, RETRY),
        field("recovery_hold", Shape::Duration, HOLD),
    ],
};

/// An average over a window.
pub(crate) static AVERAGE: Table = Table {
    what: "`average`",
    required: &["value", "over", "above"],
    fields: &[
        field("value", Shape::Text, "the name of a value that the check measures"),
        field("over", Shape::Duration, "the window"),
        field("above", Shape::Number, "the alarm goes off above this"),
    ],
};

/// A contact.
pub(crate) static CONTACT: Table = Table {
    what: "a contact",
    required: &[],
    fields: &[
        field("mail", Shape::Texts, "mail addresses"),
        field("phone", Shape::Text, "a telephone number with its country code (`+86..`)"),
        field("apart", Shape::Flag, "each notification in a message of its own, for programs"),
    ],
};

/// A route.
pub(crate) static ROUTE: Table = Table {
    what: "a route",
    required: &["to"],
    fields: &[
        field("severity", Shape::WordList(SEVERITIES), "only these; left out: all"),
        field("checks", Shape::Texts, "only checks whose names fit one of these patterns"),
        field("customer", Shape::Text, "only this customer's checks"),
        field("to", Shape::Texts, "contacts"),
        field("channels", Shape::Texts, "by which channels; left out: `mail`"),
    ],
};

/// A status page.
pub(crate) static PAGE: Table = Table {
    what: "a page",
    required: &["title"],
    fields: &[
        field("title", Shape::Text, "what stands on top"),
        field("checks", Shape::Texts, "names of checks, or patterns; left out: all"),
        field("access", Shape::Words(&["public"]), "who may see it"),
    ],
};

/// A maintenance.
pub(crate) static MAINTENANCE: Table = Table {
    what: "a maintenance",
    required: &["checks", "zone"],
    fields: &[
        field("checks", Shape::Texts, "names of checks, or patterns"),
        field("customer", Shape::Text, "only this customer's checks"),
        field("every", Shape::Text, "days and times (`Sun 02:00-04:00`, `daily 01:00-02:00`)"),
        field("from", Shape::Text, "when it begins, once (`2026-11-22 02:00`)"),
        field("to", Shape::Text, "when it ends, once"),
        field("zone", Shape::Text, "the IANA time zone of these times (`Asia/Shanghai`)"),
        field("reason", Shape::Text, "why, for the page"),
    ],
};

/// A drill.
pub(crate) static DRILL: Table = Table {
    what: "a drill",
    required: &["every", "zone"],
    fields: &[
        field(
            "check",
            Shape::Text,
            "as if it were down; left out: as if the installation itself had trouble",
        ),
        field("every", Shape::Text, "days and a time (`Mon-Fri 09:00`, `daily 08:30`)"),
        field("zone", Shape::Text, "the IANA time zone of this time (`Asia/Shanghai`)"),
    ],
};

/// References.
pub(crate) static REFERENCES: Table = Table {
    what: "`references`",
    required: &[],
    fields: &[
        field("v4", Shape::Texts, "`address:port` over IPv4, in networks of others"),
        field("v6", Shape::Texts, "`[address]:port` over IPv6"),
        field("names", Shape::Texts, "names that must resolve"),
        field("resolvers", Shape::Texts, "`address:port` of resolvers; left out: the system's"),
        field("must_fail", Shape::Text, "`address:port` that must not answer"),
        field("every", Shape::Duration, "how often they are asked"),
    ],
};

/// Retention.
pub(crate) static RETENTION: Table = Table {
    what: "`retention`",
    required: &[],
    fields: &[
        field("raw", Shape::Duration, "every observation"),
        field(
            "rollups",
            Shape::Duration,
            "hourly and daily roll-ups, and verdicts; incidents that are over are kept for 30 \
             days, at most 2,000 of them",
        ),
    ],
};
