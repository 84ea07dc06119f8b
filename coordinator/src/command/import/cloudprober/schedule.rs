//! Schedules: when a probe does not run there, nobody is to be woken here.

use super::super::tree::Node;
use super::super::written::Out;
use super::Reading;

/// Days as cloudprober names them.
const DAYS: [&str; 7] =
    ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

impl Reading<'_> {
    pub(super) fn schedule(&mut self, node: &Node, name: &str, checks: &[String]) {
        let what = format!("probe {name}: `schedule`");
        if node.text_of("type") != Some("DISABLE") {
            let why = "checks always run; write `maintenance` for the times in which nobody is to \
                       be woken";
            return self.lose(node, &what, why);
        }
        let Some(every) = window(node) else {
            let why = "write it as `maintenance`, of windows within a day";
            return self.lose(node, &what, why);
        };
        self.note(node, &what, "carried over as `maintenance`: it runs, and nobody is woken");
        self.draft.maintenance(Out::map([
            ("checks", Out::texts(checks.to_vec())),
            ("every", Out::text(every)),
            ("zone", Out::text(node.text_of("timezone").unwrap_or("UTC"))),
            ("reason", Out::text("scheduled not to run")),
        ]));
    }
}

/// As a window that comes again, if it lasts less than a day.
fn window(node: &Node) -> Option<String> {
    let of = |key| node.text_of(key).unwrap_or("EVERYDAY");
    let (first, last) = (of("start_weekday"), of("end_weekday"));
    let from = node.text_of("start_time").unwrap_or("00:00");
    let to = node.text_of("end_time").unwrap_or("23:59");
    let number = |day: &str| DAYS.iter().position(|known| *known == day);
    let day = match (number(first), number(last)) {
        (None, None) => "daily".to_owned(),
        (Some(first), Some(last)) if first == last && from < to => short(first),
        (Some(first), Some(last)) if (first + 1) % 7 == last && to < from => short(first),
        _ => return None,
    };
    Some(format!("{day} {from}-{to}"))
}

/// `MONDAY` as `Mon`.
fn short(day: usize) -> String {
    let name = DAYS[day];
    format!("{}{}", &name[..1], name[1..3].to_ascii_lowercase())
}
