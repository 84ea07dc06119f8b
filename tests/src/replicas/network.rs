//! The network between coordinators: it loses, delays, repeats and overtakes, one way or both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crosscheck_coordinator::surroundings::{Lost, Question, Transport};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fault::Fault;
use super::ground::{Ground, Life, Shared, Word};

/// Messages take at least as long as a turn, so that the order of turns does not matter.
const FASTEST_MS: u64 = 10;
const USUAL_MS: u64 = 60;
const SLOW_MS: u64 = 2_000;

type Answer = Result<Vec<u8>, Lost>;

/// Who waits for an answer: the first one counts.
#[derive(Clone, Debug)]
pub(super) struct Asker(Arc<Mutex<Option<oneshot::Sender<Answer>>>>);

impl Asker {
    pub(super) fn answer(&self, answer: Answer) {
        if let Some(asker) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It may have given up.
            let _ = asker.send(answer);
        }
    }
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) from: Life,
    pub(super) to: usize,
    pub(super) asker: Asker,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Question(Question),
    /// Good for this life only: a connection ends with its process.
    Answer(u64, Answer),
}

/// The links, and what is under way on them.
#[derive(Debug, Default)]
pub(super) struct Network {
    queue: BTreeMap<(Duration, u64), Letter>,
    order: u64,
    /// From, to.
    pub(super) cuts: BTreeSet<(usize, usize)>,
    /// What is sent on these waits until then.
    pub(super) clogged: BTreeMap<(usize, usize), Duration>,
    /// In thousandths.
    pub(super) loss: u64,
    pub(super) duplicates: u64,
    pub(super) slow: u64,
}

impl Network {
    /// What has arrived by now.
    pub(super) fn arrived(&mut self, now: Duration) -> Vec<Letter> {
        let later = self.queue.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.queue, later).into_values().collect()
    }

    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.clogged.clear();
        (self.loss, self.duplicates, self.slow) = (0, 0, 0);
    }
}

impl Ground {
    /// Puts a letter on its way, if its way is open.
    pub(super) fn send(&mut self, letter: Letter) {
        let link = (letter.from.seat, letter.to);
        let lost = self.random.chance(self.network.loss);
        if lost {
            self.coverage.fault(Fault::Loss);
        }
        if lost || self.network.cuts.contains(&link) {
            return;
        }
        let copies = if self.random.chance(self.network.duplicates) { 2 } else { 1 };
        if copies > 1 {
            self.coverage.fault(Fault::Duplicate);
        }
        for _ in 0..copies {
            let slow = self.random.chance(self.network.slow);
            if slow {
                self.coverage.fault(Fault::Delay);
            }
            let most = if slow { SLOW_MS } else { USUAL_MS };
            let begins = self.network.clogged.get(&link).copied().unwrap_or(self.now).max(self.now);
            let at = begins + self.random.millis(FASTEST_MS, most);
            self.network.order += 1;
            self.network.queue.insert((at, self.network.order), letter.clone());
        }
    }
}

/// A process' way to the others.
pub(super) struct Link {
    pub(super) ground: Shared,
    pub(super) me: Life,
    /// Where each base URL is.
    pub(super) places: fn(&str) -> Option<usize>,
}

impl Transport for Link {
    fn post(&self, question: Question) -> BoxFuture<'static, Answer> {
        let limit = question.limit;
        let Some(to) = (self.places)(&question.base) else {
            let lost = Lost::NotTaken("there is no such machine".to_owned());
            return Box::pin(async move { Err(lost) });
        };
        let (sender, answer) = oneshot::channel();
        let asker = Asker(Arc::new(Mutex::new(Some(sender))));
        let mut ground = self.ground.lock();
        match question.path.as_str() {
            "append" => {
                let word = Word::Appends(self.me, question.body.clone());
                ground.words.push(word);
            }
            "vote" => {
                let word = Word::Votes(self.me, question.body.clone());
                ground.words.push(word);
            }
            "snapshot" => ground.coverage.fault(Fault::SnapshotInstalled),
            _ => {}
        }
        let content = Content::Question(question);
        ground.send(Letter { from: self.me, to, asker: asker.clone(), content });
        drop(ground);
        Box::pin(async move {
            let answered = async {
                match answer.await {
                    Ok(answer) => answer,
                    Err(_) => std::future::pending().await,
                }
            };
            let answer = timeout(limit, answered).await.unwrap_or(Err(Lost::TimedOut));
            drop(asker);
            answer
        })
    }
}
