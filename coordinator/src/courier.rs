//! Drains the outbox while this node leads: the tokio shell around [`crate::dispatch`].
//!
//! It decides nothing and remembers nothing that matters: what is owed stands in the replicated
//! state, and another leader goes on from there.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_checks::env::Secrets;
use crosscheck_core::claim::CLAIM_LEASE;
use crosscheck_core::outbox::{Key, Owed, Progress, SendResult};
use crosscheck_core::{Command, Reply, State};
use crosscheck_model::config;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::channel::{self, Channel, Delivery};
use crate::dispatch::{Dispatcher, Due, Effect, Event, Moment, SEND_DEADLINE};

/// How often the outbox is looked at without being asked to: retries and ended leases become due
/// by the passing of log time, which nobody announces.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a channel may overrun its deadline before it is given up on, its end unknown.
const OVERRUN: Duration = Duration::from_secs(5);
/// The longest error that goes into the log, in characters: a few lines of a server's prose.
const ERROR_LIMIT_CHARS: usize = 400;

/// The replicated log, as the courier uses it.
pub trait Log: Send + Sync + 'static {
    /// Proposes a command and waits until it is applied. It ends within some seconds; an error
    /// means that it is not known to be applied.
    fn submit(&self, command: Command) -> impl Future<Output = Result<Reply, String>> + Send;

    /// Asks a majority whether this node still leads in that term (ReadIndex, never a lease).
    fn still_leads(&self, term: u64) -> impl Future<Output = bool> + Send;

    /// Looks at the applied state.
    fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R;
}

/// What the courier hears from the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// This node leads in that term from now on and has applied all that came before; or it does
    /// not lead any more.
    Lead(Option<u64>),
    /// Something became owed.
    Owed,
}

/// One attempt, with what the configuration says of it now.
#[derive(Clone, Debug)]
pub struct Errand {
    /// What to say to whom.
    pub owed: Owed,
    /// What its message says beside that.
    pub others: Vec<Owed>,
    /// The contact, if it is still configured.
    pub contact: Option<config::Contact>,
    /// The channel, if it is still configured.
    pub channel: Option<config::Channel>,
}

/// Carries an errand out.
pub type Carrier = Arc<dyn Fn(Errand) -> BoxFuture<'static, SendResult> + Send + Sync>;

/// Carries errands out by the configured channels.
pub fn by_channels(secrets: Secrets) -> Carrier {
    Arc::new(move |errand| {
        let secrets = secrets.clone();
        Box::pin(async move { carry(&errand, &secrets).await })
    })
}

async fn carry(errand: &Errand, secrets: &Secrets) -> SendResult {
    let Some(to) = &errand.contact else {
        return SendResult::Refused("the contact is not configured any more".to_owned());
    };
    let Some(channel) = &errand.channel else {
        return SendResult::Refused("the channel is not configured any more".to_owned());
    };
    match open(channel) {
        Ok(channel) => {
            let delivery = Delivery {
                owed: &errand.owed,
                others: &errand.others,
                to,
                secrets,
                deadline: SEND_DEADLINE,
            };
            channel.send(delivery).await
        }
        // An operator can mend it, and until then nothing is lost.
        Err(error) => SendResult::Retry(format!("channel `{}`: {error}", errand.owed.channel)),
    }
}

fn open(channel: &config::Channel) -> Result<Box<dyn Channel>, String> {
    let kind = channel::find(&channel.kind)
        .ok_or_else(|| format!("this version knows no kind `{}`", channel.kind))?;
    let settings = serde_json::from_str(&channel.settings).map_err(|error| error.to_string())?;
    kind.open(&settings).map_err(|errors| {
        let text = |error: &crosscheck_checks::kind::SettingsError| {
            format!("{}: {}", error.path.join("."), error.message)
        };
        errors.iter().map(text).collect::<Vec<_>>().join("; ")
    })
}

/// The leader's courier.
pub struct Courier<L> {
    log: Arc<L>,
    node: u64,
    carry: Carrier,
}

impl<L: Log> Courier<L> {
    /// A courier for this node.
    pub fn new(log: Arc<L>, node: u64, carry: Carrier) -> Self {
        Self { log, node, carry }
    }

    /// Runs until `stop` or the end of the news, and then until what has begun is settled or its
    /// lease over.
    pub async fn run(self, mut news: mpsc::Receiver<News>, stop: CancellationToken) {
        let origin = Instant::now();
        let mut dispatcher = Dispatcher::default();
        let mut running = FuturesUnordered::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wake: Option<Moment> = None;
        let mut stopping = false;
        while !(stopping && dispatcher.is_idle()) {
            let alarm = origin + wake.unwrap_or_default();
            let event = tokio::select! {
                // A lost leadership is heard before any claim that came through.
                biased;
                () = stop.cancelled(), if !stopping => Event::LostLeadership,
                next = news.recv(), if !stopping => match next {
                    Some(News::Lead(Some(term))) => Event::Leads(term),
                    Some(News::Owed) => self.due(),
                    Some(News::Lead(None)) => Event::LostLeadership,
                    None => { stopping = true; Event::LostLeadership }
                },
                Some(event) = running.next() => event,
                _ = look.tick() => self.due(),
                () = sleep_until(alarm), if wake.is_some() => Event::Woken,
            };
            stopping |= stop.is_cancelled();
            // A term begun or a place freed: what waits need not wait for the next look.
            let look_at_once = matches!(event, Event::Leads(_) | Event::Settled(_));
            let mut effects = dispatcher.step(origin.elapsed(), event);
            if look_at_once && !stopping {
                effects.extend(dispatcher.step(origin.elapsed(), self.due()));
            }
            wake = None;
            for effect in effects {
                match effect {
                    Effect::Claim { key, term } => {
                        running.push(self.claim(key, term, stop.clone()));
                    }
                    Effect::Send { key } => running.push(self.send(key)),
                    Effect::Settle { key, attempt, result } => {
                        running.push(self.settle(key, attempt, result));
                    }
                    Effect::Release { key, attempt } => {
                        running.push(self.release(key, attempt, stop.clone()));
                    }
                    Effect::Forget { key } => {
                        tracing::warn!(%key, "the result of a send could not be committed in time");
                    }
                    Effect::Wake(at) => wake = Some(at),
                }
            }
        }
    }

    fn due(&self) -> Event {
        Event::Due(self.log.read(|state| state.due().into_iter().map(Due::from).collect()))
    }

    fn claim(&self, key: Key, term: u64, stop: CancellationToken) -> BoxFuture<'static, Event> {
        let (log, node) = (Arc::clone(&self.log), self.node);
        Box::pin(async move {
            let before = log.read(|state| state.outbox.get(&key).map_or(0, |owed| owed.attempts));
            match log.submit(Command::Claim { key, term, node }).await {
                Ok(Reply::Claimed(attempt)) if log.still_leads(term).await => {
                    Event::Claimed(key, attempt)
                }
                Ok(Reply::Claimed(attempt)) => {
                    tracing::info!(%key, "claimed, but not sure to lead: nothing is sent");
                    Event::Unsent(key, attempt)
                }
                Ok(reply) => {
                    tracing::debug!(%key, ?reply, "not claimed");
                    Event::NotClaimed(key)
                }
                Err(error) => {
                    tracing::debug!(%key, error, "nobody knows whether it is claimed");
                    let mine = Mine { key, term, node, before };
                    match stop.run_until_cancelled(found(&*log, mine)).await.flatten() {
                        Some(attempt) => Event::Unsent(key, attempt),
                        None => Event::NotClaimed(key),
                    }
                }
            }
        })
    }

    /// A courier that stops does not wait for this: the lease ends by itself.
    fn release(
        &self,
        key: Key,
        attempt: u32,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Event> {
        let log = Arc::clone(&self.log);
        Box::pin(async move {
            match log.submit(Command::Release { key, attempt }).await {
                Ok(_) => Event::Settled(key),
                Err(_) if stop.is_cancelled() => Event::Settled(key),
                Err(error) => {
                    tracing::debug!(%key, error, "a claim is not given back yet");
                    Event::NotSettled(key)
                }
            }
        })
    }

    fn send(&self, key: Key) -> BoxFuture<'static, Event> {
        let errand = self.log.read(|state| {
            let owed = state.outbox.get(&key)?;
            let others = state.told_by(owed).into_iter().skip(1);
            let others = others.cloned().collect();
            let owed = owed.clone();
            let contact = state.config.contacts.get(&owed.contact).cloned();
            let channel = state.config.channels.get(&owed.channel).cloned();
            Some(Errand { owed, others, contact, channel })
        });
        let carry = Arc::clone(&self.carry);
        Box::pin(async move {
            let Some(errand) = errand else {
                return Event::Sent(key, SendResult::Refused("it is owed no more".to_owned()));
            };
            let (contact, channel) = (errand.owed.contact.clone(), errand.owed.channel.clone());
            // A task of its own: a panic in a channel must not take the courier along.
            let attempt = tokio::spawn(timeout(SEND_DEADLINE + OVERRUN, carry(errand)));
            let result = match attempt.await {
                Ok(Ok(result)) => bounded(result),
                Ok(Err(_)) => SendResult::Ambiguous("the channel did not end in time".to_owned()),
                Err(_) => SendResult::Ambiguous("the channel broke down".to_owned()),
            };
            match &result {
                SendResult::Delivered => tracing::info!(%key, %contact, channel, "delivered"),
                other => tracing::warn!(%key, %contact, channel, result = ?other, "not delivered"),
            }
            Event::Sent(key, result)
        })
    }

    fn settle(&self, key: Key, attempt: u32, result: SendResult) -> BoxFuture<'static, Event> {
        let log = Arc::clone(&self.log);
        Box::pin(async move {
            match log.submit(Command::Settle { key, attempt, result }).await {
                Ok(_) => Event::Settled(key),
                Err(error) => {
                    tracing::debug!(%key, error, "not settled");
                    Event::NotSettled(key)
                }
            }
        })
    }
}

/// A claim that was proposed and brought no answer.
#[derive(Clone, Copy)]
struct Mine {
    key: Key,
    term: u64,
    node: u64,
    /// Attempts before it.
    before: u32,
}

/// The attempt of a claim that has got into the log after all; `None` when it cannot any more, or
/// when its lease would be over.
async fn found<L: Log>(log: &L, mine: Mine) -> Option<u32> {
    let end = Instant::now() + CLAIM_LEASE;
    while Instant::now() < end {
        let looked = log.read(|state| {
            let Some(owed) = state.outbox.get(&mine.key) else { return Some(None) };
            match owed.progress {
                // In another's message it was claimed with that one.
                Progress::Claimed { term, node, .. }
                    if (term, node) == (mine.term, mine.node)
                        && owed.attempts > mine.before
                        && owed.told_in.is_none() =>
                {
                    Some(Some(owed.attempts))
                }
                // What that term has left behind comes before the next term's first entry.
                _ => (state.lead_term > mine.term).then_some(None),
            }
        });
        if let Some(known) = looked {
            return known;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

/// The result with a text that the log can carry.
fn bounded(result: SendResult) -> SendResult {
    let cut = |text: String| text.chars().take(ERROR_LIMIT_CHARS).collect();
    match result {
        SendResult::Delivered => SendResult::Delivered,
        SendResult::Retry(text) => SendResult::Retry(cut(text)),
        SendResult::Refused(text) => SendResult::Refused(cut(text)),
        SendResult::Ambiguous(text) => SendResult::Ambiguous(cut(text)),
        SendResult::Partly { reached, why } => SendResult::Partly { reached, why: cut(why) },
    }
}

#[cfg(test)]
mod tests;
