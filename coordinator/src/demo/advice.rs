//! What the visitor might do next, and what to watch meanwhile: a function of what there is to
//! see.

use crosscheck_core::quorum::Domain;
use crosscheck_core::verdict::Reason;
use serde::Serialize;

use super::scene::CARRIERS;
use super::switchboard::Mood;

/// What there is to see.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// How the target is.
    pub(super) mood: Mood,
    /// Carriers that are cut off.
    pub(super) carriers: usize,
    /// Sites whose own way to the targets is cut.
    pub(super) sites: usize,
    /// Sites that are cut off from the coordinators.
    pub(super) mute: usize,
    /// Coordinators that do not live.
    pub(super) dead: usize,
    /// Why the shop's verdict is what it is.
    pub(super) reason: Reason,
    /// The shop has an open incident.
    pub(super) open: bool,
    /// Alarms about the shop that have come.
    pub(super) alarms: usize,
    /// Recoveries of the shop that have come.
    pub(super) recoveries: usize,
}

/// A hint, and the button that follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// What is the case.
    pub(super) now: String,
    /// What to try.
    pub(super) try_next: String,
    /// What a button does about it.
    pub(super) button: Option<Button>,
}

/// A button: what its form sends (see [`super::switchboard::Asked`]), and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Button {
    /// What is switched.
    pub(super) what: &'static str,
    /// Which of them.
    pub(super) which: &'static str,
    /// To what.
    pub(super) to: &'static str,
    /// What it says.
    pub(super) label: &'static str,
}

const fn button(
    what: &'static str,
    which: &'static str,
    to: &'static str,
    label: &'static str,
) -> Option<Button> {
    Some(Button { what, which, to, label })
}

const CUT_CARRIER: Option<Button> =
    button("carrier", CARRIERS[0], "cut", "Cut carrier china-telecom");
const BREAK_TARGET: Option<Button> = button("target", "", "errors", "Break the target");
const KILL_LEADER: Option<Button> = button("leader", "", "", "Kill the leader");
const START_AGAIN: Option<Button> = button("leader", "", "", "Start one again");
const HEAL: Option<Button> = button("heal", "", "", "Heal everything");

fn advice(now: impl Into<String>, try_next: &str, button: Option<Button>) -> Advice {
    Advice { now: now.into(), try_next: try_next.to_owned(), button }
}

impl Look {
    /// What to do next.
    pub(super) fn advice(&self) -> Advice {
        if self.dead >= 2 {
            return advice(
                "Too few coordinators are left for a majority.",
                "Whoever is left decides nothing, sends nothing, and says so on its status page. Start one again.",
                START_AGAIN,
            );
        }
        if self.reason == Reason::New {
            return advice(
                "Five probes take their first look.",
                "In a few seconds all five votes are in.",
                None,
            );
        }
        match self.mood {
            Mood::Works => self.while_it_works(),
            Mood::Slow => advice(
                "The shop answers, but slowly.",
                "The sites see it one by one, and the status page calls it degraded. Now let it answer 500.",
                BREAK_TARGET,
            ),
            Mood::Errors | Mood::Closed | Mood::Hangs => self.while_it_fails(),
        }
    }

    fn while_it_fails(&self) -> Advice {
        if self.reason != Reason::Failing {
            return advice(
                "The shop is broken.",
                "Each probe looks twice before it votes. Watch the votes turn: as soon as enough sites agree, ops get one mail.",
                None,
            );
        }
        if self.alarms <= self.recoveries {
            return advice(
                "The sites agree: the shop is down.",
                "The leader writes into the shared log that it sends the mail, then sends it. It comes in a moment.",
                None,
            );
        }
        match self.dead {
            0 => advice(
                "The sites agree, and ops got one mail.",
                "Now kill the leader: another coordinator takes over within seconds, and no second mail goes out.",
                KILL_LEADER,
            ),
            _ => advice(
                "The leader is gone, another one leads, and there is still only one mail.",
                "What was decided and what was sent stands in the log that all share. Now heal everything.",
                HEAL,
            ),
        }
    }

    fn while_it_works(&self) -> Advice {
        match &self.reason {
            Reason::Partial(domain) if !self.open => return in_one(domain),
            _ if self.open && self.carriers + self.sites > 0 => {
                return advice(
                    "The shop works, but too many sites cannot reach it.",
                    "From where enough sites stand, it is down. Heal everything.",
                    HEAL,
                );
            }
            _ if self.open => {
                return advice(
                    "The shop works again.",
                    "Two rounds of good votes over ten seconds must confirm it. Then one mail says that it has recovered.",
                    None,
                );
            }
            _ => {}
        }
        if self.carriers + self.sites > 0 {
            return advice(
                "A cable is cut.",
                "The sites behind it fail their attempts now. Watch their votes, and the mail box: it stays empty.",
                None,
            );
        }
        if self.mute > 0 {
            return advice(
                "A probe cannot reach the coordinators.",
                "It goes on looking and keeps its results; after 15 s its old votes count no more, and the others decide. Now break the target.",
                BREAK_TARGET,
            );
        }
        if self.dead > 0 {
            return advice(
                "One coordinator of three is gone.",
                "The other two are a majority and work on. Break the target: the alarm goes out all the same.",
                BREAK_TARGET,
            );
        }
        if self.alarms > self.recoveries {
            return advice("The shop has recovered.", "The mail that says so is on its way.", None);
        }
        if self.alarms > 0 {
            return advice(
                "That was the story: one outage, one alarm, one recovery.",
                "Now try what you like. Let the shop hang, cut one probe off, or kill two coordinators.",
                CUT_CARRIER,
            );
        }
        advice(
            "All is well: every site reaches the shop.",
            "Cut carrier china-telecom: two sites fail, nobody is woken, and the page names the carrier.",
            CUT_CARRIER,
        )
    }
}

fn in_one(domain: &Domain) -> Advice {
    advice(
        format!("The shop fails only from {domain}."),
        "So the shop is not down, and nobody is woken; the status page names what is cut. Now break the target.",
        BREAK_TARGET,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Look = Look {
        mood: Mood::Works,
        carriers: 0,
        sites: 0,
        mute: 0,
        dead: 0,
        reason: Reason::Working,
        open: false,
        alarms: 0,
        recoveries: 0,
    };

    #[test]
    fn the_hints_lead_through_the_story() {
        let carrier = Reason::Partial(Domain::Carrier("china-telecom".to_owned()));
        let down = Look { mood: Mood::Errors, reason: Reason::Failing, open: true, ..CALM };
        let story = [
            (Look { reason: Reason::New, ..CALM }, None),
            (CALM, CUT_CARRIER),
            (Look { carriers: 1, ..CALM }, None),
            (Look { carriers: 1, reason: carrier.clone(), ..CALM }, BREAK_TARGET),
            (Look { carriers: 1, mood: Mood::Errors, reason: carrier, ..CALM }, None),
            (down.clone(), None),
            (Look { alarms: 1, ..down.clone() }, KILL_LEADER),
            (Look { alarms: 1, dead: 1, ..down.clone() }, HEAL),
            (Look { alarms: 1, mood: Mood::Works, ..down.clone() }, None),
            (Look { alarms: 1, ..CALM }, None),
            (Look { alarms: 1, recoveries: 1, ..CALM }, CUT_CARRIER),
            (Look { dead: 2, ..down }, START_AGAIN),
        ];
        for (look, button) in story {
            assert_eq!(look.advice().button, button, "{look:?}");
        }
    }

    #[test]
    fn every_button_sends_what_the_switchboard_understands() {
        for button in
            [CUT_CARRIER, BREAK_TARGET, KILL_LEADER, START_AGAIN, HEAL].into_iter().flatten()
        {
            let asked = super::super::switchboard::Asked {
                what: button.what.to_owned(),
                which: button.which.to_owned(),
                to: button.to.to_owned(),
            };
            assert!(asked.act().is_some(), "{button:?}");
        }
    }
}
