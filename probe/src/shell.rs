//! Where a probe meets the world: one thread holds the state machine and is its timer; runs and
//! messages are tasks of the async runtime; the disk has a thread of its own, so that no fsync
//! makes a check late.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::Mono;
use crate::figures::Figures;
use crate::link::Link;
use crate::notice::Notices;
use crate::probe::{Effect, Event, Probe, Setup};
use crate::runner::{Prober, contained, gathered};
use crate::spool::DiskOp;
use crate::store::Store;
use crate::uplink::{self, Failure, OPEN_TIMEOUT, REPORT_TIMEOUT};

/// The timer never sleeps longer; a wake-up too many costs nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

enum Message {
    Event(Event),
    Figures(oneshot::Sender<Figures>),
}

/// What a probe reaches out with.
pub struct Parts {
    /// To the coordinators.
    pub link: Arc<dyn Link>,
    /// To the targets.
    pub prober: Arc<dyn Prober>,
    /// To the disk.
    pub store: Box<dyn Store>,
}

/// A probe at work.
pub struct Running {
    remote: Remote,
    done: Option<oneshot::Receiver<()>>,
}

/// Asks a probe at work about itself.
#[derive(Clone)]
pub struct Remote(Sender<Message>);

impl Remote {
    /// What the probe tells about itself; `None` after its end.
    pub async fn figures(&self) -> Option<Figures> {
        let (answer, figures) = oneshot::channel();
        self.0.send(Message::Figures(answer)).ok()?;
        figures.await.ok()
    }
}

impl Running {
    /// For questions, also from elsewhere.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Stops starting runs, keeps what is undelivered in the store, and waits for the end.
    pub async fn stop(mut self) {
        let _ = self.remote.0.send(Message::Event(Event::Stop));
        if let Some(done) = self.done.take() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.remote.0.send(Message::Event(Event::Stop));
    }
}

/// Puts a probe to work; `setup.kept` is read from the store here. Needs a tokio runtime.
///
/// # Errors
/// When the store cannot be read or a thread not be made.
pub fn start(mut setup: Setup, parts: Parts) -> io::Result<Running> {
    let Parts { link, prober, mut store } = parts;
    setup.kept = store.load()?;
    let (events, inbox) = mpsc::channel();
    let (disk, disk_ops) = mpsc::channel();
    let (end, done) = oneshot::channel();
    let answers = events.clone();
    let disk_thread = std::thread::Builder::new()
        .name("probe-disk".to_owned())
        .spawn(move || keep(&mut *store, &disk_ops, &answers))?;
    let shell = Shell {
        clock: Instant::now(),
        runtime: Handle::try_current().map_err(io::Error::other)?,
        events: events.clone(),
        disk,
        link,
        prober,
        probe_id: setup.probe.clone(),
        runs: BTreeMap::new(),
        orders: None,
    };
    std::thread::Builder::new().name("probe-timer".to_owned()).spawn(move || {
        shell.work(Probe::new(setup), &inbox);
        // Until then the store is in use; a panic there has been printed.
        let _ = disk_thread.join();
        let _ = end.send(());
    })?;
    Ok(Running { remote: Remote(events), done: Some(done) })
}

struct Shell {
    clock: Instant,
    runtime: Handle,
    events: Sender<Message>,
    disk: Sender<DiskOp>,
    link: Arc<dyn Link>,
    prober: Arc<dyn Prober>,
    probe_id: crosscheck_model::ProbeId,
    runs: BTreeMap<u64, AbortHandle>,
    orders: Option<AbortHandle>,
}

impl Shell {
    fn work(mut self, mut probe: Probe, inbox: &Receiver<Message>) {
        let mut notices = Notices::default();
        loop {
            let now = self.clock.elapsed();
            let sleep = probe.wake(now).saturating_sub(now).min(LONGEST_SLEEP);
            let message = match inbox.recv_timeout(sleep) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => Message::Event(Event::Time),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let event = match message {
                Message::Event(event) => event,
                Message::Figures(answer) => {
                    // Who asked may have gone away.
                    let _ = answer.send(probe.figures(self.clock.elapsed()));
                    continue;
                }
            };
            if let Event::Ended { run, .. } = &event {
                self.runs.remove(run);
            }
            let effects = probe.step(self.clock.elapsed(), event);
            for effect in effects {
                if effect == Effect::Halt {
                    return;
                }
                self.carry_out(effect);
            }
            notices.tell(&probe);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Run(run) => {
                let deadline = run.check.spec.schedule.timeout;
                let work = self.prober.run(&run.check, deadline);
                let clock = self.clock;
                let task = self.spawn(async move {
                    let started: Mono = clock.elapsed();
                    let outcome = Box::new(contained(work, deadline).await);
                    Event::Ended { run: run.id, started, ended: clock.elapsed(), outcome }
                });
                self.runs.insert(run.id, task);
            }
            Effect::Gather(gathering) => {
                let work = self.prober.gather(&gathering.check);
                self.spawn(async move {
                    Event::Gathered { id: gathering.id, found: Box::new(gathered(work).await) }
                });
            }
            Effect::Cancel(run) => {
                if let Some(task) = self.runs.remove(&run) {
                    task.abort();
                }
            }
            Effect::Forget(check) => self.prober.forget(&check),
            Effect::Ask(round) => {
                for (place, reference) in round.references.iter().enumerate() {
                    let answer = self.prober.ask(reference);
                    self.spawn(async move {
                        Event::Answered { round: round.id, place, answered: answer.await }
                    });
                }
            }
            Effect::Link(effect) => self.talk(effect),
            Effect::Disk(op) => {
                // The disk's thread ends after this one.
                let _ = self.disk.send(op);
            }
            Effect::Halt => {}
        }
    }

    fn talk(&mut self, effect: uplink::Effect) {
        match effect {
            uplink::Effect::Open { attempt, coordinator, hello } => {
                let answer = self.link.open(coordinator, hello);
                self.spawn(async move {
                    Event::Opened { attempt, answer: in_time(OPEN_TIMEOUT, answer).await }
                });
            }
            uplink::Effect::Report { attempt, coordinator, report } => {
                let answer = self.link.report(coordinator, report);
                self.spawn(async move {
                    // Twice the time of the state machine: a late receipt is still worth having.
                    let answer = in_time(2 * REPORT_TIMEOUT, answer).await;
                    Event::Reported { attempt, answer }
                });
            }
            uplink::Effect::Listen { stream, coordinator, epoch } => {
                self.hush();
                let orders = self.link.orders(coordinator, self.probe_id.clone(), epoch);
                let events = self.events.clone();
                let task = self.spawn(async move {
                    if let Err(failure) = listen(stream, orders, &events).await {
                        tracing::debug!(coordinator, %failure, "stream of orders ended");
                    }
                    Event::Silent { stream }
                });
                self.orders = Some(task);
            }
            uplink::Effect::Hush => self.hush(),
            uplink::Effect::Disk(op) => self.carry_out(Effect::Disk(op)),
        }
    }

    fn hush(&mut self) {
        if let Some(task) = self.orders.take() {
            task.abort();
        }
    }

    fn spawn(&self, work: impl Future<Output = Event> + Send + 'static) -> AbortHandle {
        let events = self.events.clone();
        let task = self.runtime.spawn(async move {
            // An error means that the probe has ended meanwhile.
            let _ = events.send(Message::Event(work.await));
        });
        task.abort_handle()
    }
}

async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = || Err(Failure::Unreachable("no answer in time".to_owned()));
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| late())
}

async fn listen(
    stream: u64,
    orders: impl Future<Output = Result<crate::link::Orders, Failure>>,
    events: &Sender<Message>,
) -> Result<(), Failure> {
    let mut orders = in_time(OPEN_TIMEOUT, orders).await?;
    while let Some(order) = orders.next().await {
        let event = Event::Ordered { stream, order: order? };
        if events.send(Message::Event(event)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The disk's thread: does what it is asked, in order.
fn keep(store: &mut dyn Store, ops: &Receiver<DiskOp>, answers: &Sender<Message>) {
    while let Ok(op) = ops.recv() {
        let event = match op {
            DiskOp::Append(records) => {
                let result = store.append(&records);
                if let Err(error) = &result {
                    tracing::error!(%error, "cannot keep observations on disk");
                }
                Event::Stored { done: result.is_ok() }
            }
            DiskOp::Remove(ids) => {
                if let Err(error) = store.remove(&ids) {
                    tracing::warn!(%error, "cannot give back room of the spool");
                }
                continue;
            }
            DiskOp::Fetch(ids) => {
                let records = store.fetch(&ids);
                if let Err(error) = &records {
                    tracing::error!(%error, "cannot read the spool");
                }
                Event::Fetched { records: records.ok() }
            }
        };
        // An error means that the probe has ended; the remaining operations are still done.
        let _ = answers.send(Message::Event(event));
    }
}
