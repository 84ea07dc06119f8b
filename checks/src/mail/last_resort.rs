//! The mail of last resort: a part of an installation that has heard nothing of the rest for long
//! tells the operators itself, with nobody's consent. When: pure, the tokio shell is
//! [`super::direct::keep_watch`].
//!
//! ```text
//! silent for long enough -> Lost mail -> (again, until taken) -> heard for a while -> Back mail
//! ```
//!
//! **Invariants**
//! - One mail about a silence and one about its end; every copy of one has the same id.
//! - The end is told only to whom the beginning may have been.

use std::time::Duration;

use crosscheck_model::Timestamp;

/// Until a mail that was not taken is tried again; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

/// A monotonic moment: the time since an origin that the shell chooses.
pub type Moment = Duration;

/// How patient the watch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The silence after which operators are told.
    pub silence: Duration,
    /// The least time between the first mails of two silences.
    pub apart: Duration,
}

impl Patience {
    /// A silence is over when it is interrupted for a third of what it takes to tell of it.
    fn hold(self) -> Duration {
        self.silence / 3
    }
}

/// What the shell sees, looking again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// There was a sign of life since the last look.
    pub heard: bool,
    /// We ourselves are well: our own trouble is nobody's silence.
    pub fit: bool,
}

/// What came of handing a mail over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it, for somebody at least.
    Taken,
    /// It may have.
    Ambiguous,
    /// It did not.
    NotTaken,
}

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look.
    Looked(Look),
    /// A mail asked for by `Effect::Mail` was handed over, or not.
    Sent(Outcome),
}

/// A mail to hand over; answered by [`Event::Sent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it says.
    pub word: Word,
    /// Since when nothing was heard, by this machine's clock.
    pub since: Timestamp,
    /// When it was decided.
    pub decided: Timestamp,
}

/// What a letter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing is heard.
    Lost,
    /// It is over.
    Back,
}

/// A watch for the silence of others.
#[derive(Debug)]
pub struct LastResort {
    patience: Patience,
    heard: Moment,
    /// Since when it is heard again without a longer break.
    back: Option<Moment>,
    /// When the newest silence was first told of.
    told: Option<Moment>,
    stage: Stage,
    /// The mail that is owed, and what was tried.
    post: Option<Post>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// All is well, as far as anybody was told.
    Quiet,
    /// It is silent since then; whether a mail that says so may have arrived.
    Lost { since: Timestamp, arrived: bool },
}

#[derive(Clone, Copy, Debug)]
struct Post {
    letter: Letter,
    at: Moment,
    pause: Duration,
    under_way: bool,
}

impl LastResort {
    /// A watch that begins at `now`, as if something had just been heard.
    pub fn new(now: Moment, patience: Patience) -> Self {
        Self { patience, heard: now, back: None, told: None, stage: Stage::Quiet, post: None }
    }

    /// Takes note of an event; the mail to hand over now, if any. `wall` is this machine's clock.
    pub fn step(&mut self, now: Moment, wall: Timestamp, event: Event) -> Option<Letter> {
        match event {
            Event::Looked(look) => self.look(now, wall, look),
            Event::Sent(outcome) => self.sent(now, outcome),
        }
        let post = self.post.as_mut().filter(|post| !post.under_way && now >= post.at)?;
        post.under_way = true;
        Some(post.letter)
    }

    fn look(&mut self, now: Moment, wall: Timestamp, look: Look) {
        if look.heard {
            self.heard = now;
        }
        let silence = now.saturating_sub(self.heard);
        match self.stage {
            Stage::Quiet => {
                let apart = |told| now.saturating_sub(told) >= self.patience.apart;
                if silence >= self.patience.silence && look.fit && self.told.is_none_or(apart) {
                    let since = wall.minus(silence);
                    self.told = Some(now);
                    self.back = None;
                    self.stage = Stage::Lost { since, arrived: false };
                    self.owe(now, Letter { word: Word::Lost, since, decided: wall });
                }
            }
            Stage::Lost { since, arrived } => {
                if silence >= self.patience.hold() {
                    self.back = None;
                } else if look.heard {
                    let back = *self.back.get_or_insert(now);
                    if now.saturating_sub(back) >= self.patience.hold() {
                        self.end(now, wall, since, arrived);
                    }
                }
            }
        }
    }

    fn end(&mut self, now: Moment, wall: Timestamp, since: Timestamp, arrived: bool) {
        // A mail on its way may still arrive.
        let under_way = self.post.is_some_and(|post| post.under_way);
        if under_way {
            return;
        }
        self.stage = Stage::Quiet;
        self.back = None;
        self.post = None;
        if arrived {
            self.owe(now, Letter { word: Word::Back, since, decided: wall });
        }
    }

    fn owe(&mut self, now: Moment, letter: Letter) {
        self.post = Some(Post { letter, at: now, pause: FIRST_PAUSE, under_way: false });
    }

    fn sent(&mut self, now: Moment, outcome: Outcome) {
        let Some(post) = self.post.as_mut().filter(|post| post.under_way) else { return };
        let is_lost = post.letter.word == Word::Lost;
        if let Stage::Lost { arrived, .. } = &mut self.stage {
            *arrived |= is_lost && outcome != Outcome::NotTaken;
        }
        if outcome == Outcome::Taken {
            self.post = None;
            return;
        }
        post.under_way = false;
        post.at = now + post.pause;
        post.pause = (2 * post.pause).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { silence: Duration::from_secs(180), apart: Duration::from_secs(3600) };
    const START: u64 = 1_700_000_000_000;
    const HEARD: Event = Event::Looked(Look { heard: true, fit: true });
    const SILENT: Event = Event::Looked(Look { heard: false, fit: true });
    const UNFIT: Event = Event::Looked(Look { heard: false, fit: false });

    struct Story {
        watch: LastResort,
        now: u64,
        outcome: Outcome,
        mails: Vec<(u64, Word)>,
        letters: Vec<Letter>,
    }

    impl Story {
        fn new(patience: Patience) -> Self {
            let watch = LastResort::new(Moment::ZERO, patience);
            let (mails, letters) = (Vec::new(), Vec::new());
            Self { watch, now: 0, outcome: Outcome::Taken, mails, letters }
        }

        /// So many seconds, each with this event.
        fn seconds(&mut self, count: u64, event: Event) -> &mut Self {
            for _ in 0..count {
                self.now += 1;
                self.put(event);
            }
            self
        }

        fn put(&mut self, event: Event) {
            let (now, wall) =
                (Duration::from_secs(self.now), Timestamp::from_millis(START + 1000 * self.now));
            if let Some(letter) = self.watch.step(now, wall, event) {
                self.mails.push((self.now, letter.word));
                self.letters.push(letter);
                let answer = self.watch.step(now, wall, Event::Sent(self.outcome));
                assert_eq!(answer, None, "no second mail at once");
            }
        }
    }

    #[test]
    fn a_silence_is_one_mail_and_its_end_another() {
        let mut story = Story::new(PATIENCE);
        story.seconds(100, HEARD).seconds(179, SILENT);
        assert_eq!(story.mails, []);
        story.seconds(2000, SILENT);
        assert_eq!(story.mails, [(280, Word::Lost)]);
        let letter = story.letters[0];
        assert_eq!(letter.since, Timestamp::from_millis(START + 100_000), "since the last sign");
        story.seconds(61, HEARD);
        assert_eq!(story.mails, [(280, Word::Lost), (2340, Word::Back)]);
        assert_eq!(story.letters[1].since, letter.since);
        story.seconds(5000, HEARD);
        assert_eq!(story.mails.len(), 2);
    }

    #[test]
    fn signs_of_life_that_come_and_go_end_no_silence_and_begin_none() {
        let mut story = Story::new(PATIENCE);
        story.seconds(200, SILENT);
        for _ in 0..20 {
            story.seconds(50, HEARD).seconds(70, SILENT);
        }
        assert_eq!(story.mails.len(), 1);
        // A commit now and then is a working cluster, if a slow one.
        let mut story = Story::new(PATIENCE);
        for _ in 0..100 {
            story.seconds(1, HEARD).seconds(100, SILENT);
        }
        assert_eq!(story.mails, []);
    }

    #[test]
    fn silences_are_told_of_at_most_so_often() {
        let mut story = Story::new(PATIENCE);
        for _ in 0..12 {
            story.seconds(240, SILENT).seconds(360, HEARD);
        }
        let lost: Vec<u64> =
            story.mails.iter().filter(|(_, word)| *word == Word::Lost).map(|(at, _)| *at).collect();
        assert_eq!(lost, [180, 3780], "one an hour");
        assert_eq!(story.mails.len(), 4);
        // A silence that is still there when the hour is over is told then.
        let mut story = Story::new(PATIENCE);
        story.seconds(200, SILENT).seconds(100, HEARD).seconds(5000, SILENT);
        let lost: Vec<u64> =
            story.mails.iter().filter(|(_, word)| *word == Word::Lost).map(|(at, _)| *at).collect();
        assert_eq!(lost, [180, 3780]);
    }

    #[test]
    fn our_own_trouble_is_nobodys_silence() {
        let mut story = Story::new(PATIENCE);
        story.seconds(1000, UNFIT);
        assert_eq!(story.mails, []);
        story.seconds(1, SILENT);
        assert_eq!(story.mails.len(), 1);
    }

    #[test]
    fn a_mail_that_was_not_taken_is_tried_again_and_its_end_told_only_if_it_may_have_arrived() {
        for (outcome, ends) in [(Outcome::NotTaken, 0), (Outcome::Ambiguous, 1)] {
            let mut story = Story::new(PATIENCE);
            story.outcome = outcome;
            story.seconds(180 + 30 + 60 + 120, SILENT);
            let at: Vec<u64> = story.mails.iter().map(|(at, _)| *at).collect();
            assert_eq!(at, [180, 210, 270, 390], "{outcome:?}");
            assert!(story.letters.iter().all(|letter| *letter == story.letters[0]));
            story.outcome = Outcome::Taken;
            story.seconds(61, HEARD);
            let back = story.mails.iter().filter(|(_, word)| *word == Word::Back).count();
            assert_eq!(back, ends, "{outcome:?}");
        }
    }

    #[test]
    fn a_mail_under_way_is_waited_for_before_its_end_is_told() {
        let mut watch = LastResort::new(Moment::ZERO, PATIENCE);
        let at = |seconds: u64| (Duration::from_secs(seconds), Timestamp::from_millis(START));
        let (now, wall) = at(180);
        assert!(watch.step(now, wall, SILENT).is_some());
        for second in 181..400 {
            let (now, wall) = at(second);
            assert_eq!(watch.step(now, wall, HEARD), None, "it may arrive yet");
        }
        let (now, wall) = at(400);
        assert_eq!(watch.step(now, wall, Event::Sent(Outcome::Taken)), None);
        let (now, wall) = at(401);
        assert_eq!(watch.step(now, wall, HEARD).map(|letter| letter.word), Some(Word::Back));
    }
}
