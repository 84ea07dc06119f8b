//! Pings outward while this node leads and commits: whoever receives them raises the alarm when
//! they stop, which nobody here could any more. When they are due, and what is said of a receiver
//! that does not answer: pure, the tokio shell is in [`ping`].
//!
//! ```text
//! committed -> Ping every so often -> answered | not: 10 min -> Say(Unreachable) -> incident
//! ```
//!
//! **Invariants**
//! - No ping without a commit after the one before it, and none of a node that does not lead.
//! - A receiver that hangs holds up nothing but its own next ping.

pub mod ping;

use std::time::Duration;

/// How long a receiver may not answer until the operators are told.
const DEAF_LIMIT: Duration = Duration::from_secs(10 * 60);

/// A monotonic moment: the time since an origin that the shell chooses.
pub type Moment = Duration;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node leads from now on.
    Leads,
    /// It does not lead any more.
    LostLeadership,
    /// Something was committed.
    Committed,
    /// A receiver took a ping.
    Answered(usize),
    /// It did not, and why.
    Failed(usize, String),
    /// What was to be said of a receiver is not in the log.
    NotSaid(usize),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ping; answer with [`Event::Answered`] or [`Event::Failed`].
    Ping(usize),
    /// Say in the log that it has not answered for so long; answer with [`Event::NotSaid`] if
    /// that fails.
    Unreachable(usize, Duration),
    /// Say in the log that it answers; the same.
    Reached(usize),
    /// Tell the operator's log that it does not answer: once each time that begins.
    Complain(usize, String),
    /// Tell it that it answers again.
    Calm(usize),
}

/// The pings of a leader.
#[derive(Debug)]
pub struct Heart {
    leads: bool,
    beats: Vec<Beat>,
}

/// The pings to one receiver.
#[derive(Debug)]
struct Beat {
    every: Duration,
    /// When the next one is due.
    due: Moment,
    under_way: bool,
    failing_since: Option<Moment>,
    failures: u64,
    /// What the log says of it, as far as this leader has said it: it answers, or not.
    said: Option<bool>,
}

impl Heart {
    /// Receivers by how often each is pinged.
    pub fn new(every: &[Duration]) -> Self {
        let beat = |every: &Duration| Beat {
            every: *every,
            due: Moment::ZERO,
            under_way: false,
            failing_since: None,
            failures: 0,
            said: None,
        };
        Self { leads: false, beats: every.iter().map(beat).collect() }
    }

    /// Takes note of an event and says what to do.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        match event {
            Event::Leads => self.begin(now),
            Event::LostLeadership => self.leads = false,
            Event::Committed if self.leads => return self.beat(now),
            Event::Committed => {}
            Event::Answered(which) => return self.answered(which),
            Event::Failed(which, why) => return self.failed(now, which, why),
            Event::NotSaid(which) => {
                if let Some(beat) = self.beats.get_mut(which) {
                    beat.said = None;
                }
            }
        }
        Vec::new()
    }

    /// How often a receiver has not answered in a row.
    pub fn failures(&self, which: usize) -> u64 {
        self.beats.get(which).map_or(0, |beat| beat.failures)
    }

    /// Whatever another leader met is not known here; whatever it said is said again if it holds.
    fn begin(&mut self, now: Moment) {
        self.leads = true;
        for beat in &mut self.beats {
            (beat.due, beat.failing_since, beat.failures, beat.said) = (now, None, 0, None);
        }
    }

    fn beat(&mut self, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (which, beat) in self.beats.iter_mut().enumerate() {
            if now >= beat.due && !beat.under_way {
                (beat.due, beat.under_way) = (now + beat.every, true);
                effects.push(Effect::Ping(which));
            }
            let deaf = beat.failing_since.map(|since| now.saturating_sub(since));
            match deaf.filter(|deaf| *deaf >= DEAF_LIMIT) {
                Some(deaf) if beat.said != Some(false) => {
                    beat.said = Some(false);
                    effects.push(Effect::Unreachable(which, deaf));
                }
                _ => {}
            }
        }
        effects
    }

    fn answered(&mut self, which: usize) -> Vec<Effect> {
        let Some(beat) = self.beats.get_mut(which) else { return Vec::new() };
        beat.under_way = false;
        beat.failures = 0;
        let mut effects = Vec::new();
        if beat.failing_since.take().is_some() {
            effects.push(Effect::Calm(which));
        }
        if self.leads && beat.said != Some(true) {
            beat.said = Some(true);
            effects.push(Effect::Reached(which));
        }
        effects
    }

    fn failed(&mut self, now: Moment, which: usize, why: String) -> Vec<Effect> {
        let Some(beat) = self.beats.get_mut(which) else { return Vec::new() };
        beat.under_way = false;
        beat.failures += 1;
        if beat.failing_since.is_some() || !self.leads {
            return Vec::new();
        }
        beat.failing_since = Some(now);
        vec![Effect::Complain(which, why)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn failed(which: usize) -> Event {
        Event::Failed(which, "refused".to_owned())
    }

    fn leading(every: &[Duration]) -> Heart {
        let mut heart = Heart::new(every);
        assert_eq!(heart.step(at(0), Event::Leads), []);
        heart
    }

    #[test]
    fn pings_follow_commits_of_a_leader_and_nothing_else() {
        let mut heart = Heart::new(&[MINUTE, 2 * MINUTE]);
        assert_eq!(heart.step(at(0), Event::Committed), [], "a follower");
        heart.step(at(1), Event::Leads);
        assert_eq!(heart.step(at(1), Event::Committed), [Effect::Ping(0), Effect::Ping(1)]);
        for which in [0, 1] {
            heart.step(at(2), Event::Answered(which));
        }
        assert_eq!(heart.step(at(60), Event::Committed), [], "not due");
        assert_eq!(heart.step(at(61), Event::Committed), [Effect::Ping(0)]);
        assert_eq!(heart.step(at(125), Event::Committed), [Effect::Ping(1)], "the first hangs");
        heart.step(at(126), Event::LostLeadership);
        heart.step(at(127), Event::Answered(0));
        assert_eq!(heart.step(at(500), Event::Committed), []);
    }

    #[test]
    fn a_deaf_receiver_is_complained_of_once_and_told_once_after_ten_minutes() {
        let mut heart = leading(&[MINUTE]);
        let mut effects = Vec::new();
        for minute in 0..30 {
            effects.extend(heart.step(at(60 * minute), Event::Committed));
            effects.extend(heart.step(at(60 * minute + 10), failed(0)));
        }
        effects.retain(|effect| *effect != Effect::Ping(0));
        let complaint = Effect::Complain(0, "refused".to_owned());
        assert_eq!(effects, [complaint, Effect::Unreachable(0, at(650))]);
        assert_eq!(heart.failures(0), 30);
        heart.step(at(1800), Event::Committed);
        let back = heart.step(at(1801), Event::Answered(0));
        assert_eq!(back, [Effect::Calm(0), Effect::Reached(0)]);
        heart.step(at(1860), Event::Committed);
        assert_eq!(heart.step(at(1861), Event::Answered(0)), [], "said already");
    }

    #[test]
    fn what_did_not_get_into_the_log_is_said_again() {
        let mut heart = leading(&[MINUTE]);
        heart.step(at(0), Event::Committed);
        heart.step(at(1), failed(0));
        let said = |effects: Vec<Effect>| {
            effects.iter().any(|effect| matches!(effect, Effect::Unreachable(..)))
        };
        assert!(said(heart.step(at(601), Event::Committed)));
        assert!(!said(heart.step(at(602), Event::Committed)));
        heart.step(at(603), Event::NotSaid(0));
        assert!(said(heart.step(at(604), Event::Committed)));
    }

    #[test]
    fn a_new_leader_says_what_it_sees_itself() {
        let mut heart = leading(&[MINUTE]);
        heart.step(at(0), Event::Committed);
        assert_eq!(heart.step(at(1), Event::Answered(0)), [Effect::Reached(0)]);
        heart.step(at(2), Event::LostLeadership);
        heart.step(at(3), Event::Leads);
        assert_eq!(heart.step(at(3), Event::Committed), [Effect::Ping(0)]);
        assert_eq!(heart.step(at(4), Event::Answered(0)), [Effect::Reached(0)]);
    }
}
