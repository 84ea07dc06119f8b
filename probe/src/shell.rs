//! Where a probe meets the world. The state machine stands behind a lock: whoever has an event
//! for it steps it and carries out what follows, so that the end of one run starts the next
//! without waking another thread. A thread is its timer; runs and messages are tasks of the async
//! runtime; the disk has a thread of its own, so that no fsync makes a check late.

mod flights;
mod starter;

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crosscheck_model::wire::Order;
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use self::flights::Flights;
use self::starter::Waiting;
use crate::Mono;
use crate::figures::Figures;
use crate::link::Link;
use crate::notice::Notices;
use crate::probe::{Effect, Event, Probe, Setup};
use crate::runner::{Prober, contained, gathered};
use crate::schedule::Run;
use crate::spool::DiskOp;
use crate::store::Store;
use crate::trial::{Guarded, Keeper};
use crate::uplink::{self, Failure, OPEN_TIMEOUT, REPORT_TIMEOUT};

/// The timer never sleeps longer; a wake-up too many costs nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Between two wake-ups of the timer: ten thousand checks a second that are spread evenly would
/// else wake it as often, and what is due by then starts together. A tenth of the lateness that is
/// promised.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// What a probe reaches out with.
pub struct Parts {
    /// To the coordinators.
    pub link: Arc<dyn Link>,
    /// To the targets.
    pub prober: Arc<dyn Prober>,
    /// To the disk.
    pub store: Box<dyn Store>,
    /// What is known of checks that the process may die of.
    pub keeper: Arc<Keeper>,
}

/// A probe at work.
pub struct Running {
    shell: Arc<Shell>,
    done: Option<oneshot::Receiver<()>>,
}

/// Asks a probe at work about itself.
#[derive(Clone)]
pub struct Remote(Weak<Shell>);

impl Remote {
    /// What the probe tells about itself; `None` after its end.
    pub async fn figures(&self) -> Option<Figures> {
        let shell = self.0.upgrade()?;
        let state = shell.lock();
        (!state.ended).then(|| state.probe.figures(shell.clock.elapsed()))
    }

    /// How many checks are held back, as the process died of them or of something else.
    pub fn held(&self) -> usize {
        self.0.upgrade().map_or(0, |shell| shell.keeper.held())
    }
}

impl Running {
    /// For questions, also from elsewhere.
    pub fn remote(&self) -> Remote {
        Remote(Arc::downgrade(&self.shell))
    }

    /// Stops starting runs, keeps what is undelivered in the store, and waits for the end.
    pub async fn stop(mut self) {
        self.shell.step(Event::Stop);
        // First, as the service manager may lose its patience with what follows.
        let keeper = Arc::clone(&self.shell.keeper);
        let _ = tokio::task::spawn_blocking(move || keeper.end()).await;
        if let Some(done) = self.done.take() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shell.step(Event::Stop);
        // Writes only where the end came another way than by `stop`.
        self.shell.keeper.end();
    }
}

/// Puts a probe to work; `setup.kept` is read from the store here. Needs a tokio runtime.
///
/// # Errors
/// When the store cannot be read or a thread not be made.
pub fn start(mut setup: Setup, parts: Parts) -> io::Result<Running> {
    let Parts { link, prober, mut store, keeper } = parts;
    let prober = Arc::new(Guarded { prober, keeper: Arc::clone(&keeper) });
    setup.kept = store.load()?;
    let (disk, disk_ops) = mpsc::channel();
    let (end, done) = oneshot::channel();
    let probe_id = setup.probe.clone();
    let state = State {
        probe: Probe::new(setup),
        notices: Notices::default(),
        disk: Some(disk),
        waiting: Waiting::default(),
        runs: Flights::default(),
        orders: None,
        wake: Mono::ZERO,
        asleep_until: Mono::ZERO,
        stepped: Mono::ZERO,
        ended: false,
    };
    let shell = Arc::new(Shell {
        clock: Instant::now(),
        runtime: Handle::try_current().map_err(io::Error::other)?,
        link,
        prober,
        probe_id,
        keeper,
        state: Mutex::new(state),
        bell: Condvar::new(),
        starter: Arc::default(),
    });
    shell.runtime.spawn(starter::work(Arc::downgrade(&shell), Arc::clone(&shell.starter)));
    shell.runtime.spawn(Keeper::watch(Arc::downgrade(&shell.keeper)));
    let answers = Arc::clone(&shell);
    let disk_thread = std::thread::Builder::new()
        .name("probe-disk".to_owned())
        .spawn(move || keep(&mut *store, &disk_ops, &answers))?;
    let timer = Arc::clone(&shell);
    std::thread::Builder::new().name("probe-timer".to_owned()).spawn(move || {
        timer.work();
        // Until then the store is in use; a panic there has been printed.
        let _ = disk_thread.join();
        let _ = end.send(());
    })?;
    Ok(Running { shell, done: Some(done) })
}

struct Shell {
    clock: Instant,
    runtime: Handle,
    link: Arc<dyn Link>,
    prober: Arc<dyn Prober>,
    probe_id: crosscheck_model::ProbeId,
    keeper: Arc<Keeper>,
    state: Mutex<State>,
    /// Rung when the timer is to wake earlier than it thought, and at the end.
    bell: Condvar,
    /// Rung when runs wait, and at the end.
    starter: Arc<Notify>,
}

/// What the lock guards. Nothing that blocks is done under it.
struct State {
    probe: Probe,
    notices: Notices,
    /// `None` after the end, so that the disk's thread ends too.
    disk: Option<Sender<DiskOp>>,
    waiting: Waiting,
    runs: Flights,
    orders: Option<AbortHandle>,
    /// When the machine wants to be stepped, whatever happens before.
    wake: Mono,
    /// What the timer sleeps for at most.
    asleep_until: Mono,
    /// When the timer stepped the machine last.
    stepped: Mono,
    ended: bool,
}

impl State {
    /// When the timer is to step the machine.
    fn sleeps_until(&self) -> Mono {
        self.wake.max(self.stepped + SHORTEST_SLEEP)
    }
}

impl Shell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The timer: steps the machine whenever time alone is a reason to.
    fn work(self: &Arc<Self>) {
        let mut state = self.lock();
        while !state.ended {
            let now = self.clock.elapsed();
            // As it was wanted after the last event: what is wanted "soon" must not move on with
            // each look.
            let until = state.sleeps_until();
            if until <= now {
                state.stepped = now;
                for overdue in state.runs.overdue(now) {
                    self.take(&mut state, overdue);
                }
                self.take(&mut state, Event::Time);
                continue;
            }
            let sleep = until.saturating_sub(now).min(LONGEST_SLEEP);
            state.asleep_until = now + sleep;
            let slept = self.bell.wait_timeout(state, sleep);
            state = slept.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// An event from any thread.
    fn step(self: &Arc<Self>, event: Event) {
        let mut state = self.lock();
        self.take(&mut state, event);
        let until = state.sleeps_until();
        if until < state.asleep_until || state.ended {
            // Once: each ring is a system call, and a busy machine wants a step at every event.
            state.asleep_until = until;
            self.bell.notify_one();
        }
    }

    fn take(self: &Arc<Self>, state: &mut State, event: Event) {
        if state.ended {
            return;
        }
        let mut leaves_room = false;
        if let Event::Ended { run, .. } = &event {
            state.runs.ended(*run);
            leaves_room = state.waiting.is_empty();
        }
        let now = self.clock.elapsed();
        let effects = state.probe.step(now, event);
        state.wake = state.probe.wake(now);
        for effect in effects {
            if effect == Effect::Halt {
                state.ended = true;
                state.disk = None;
                self.starter.notify_one();
                return;
            }
            self.carry_out(state, effect);
        }
        if leaves_room {
            // One for one: no more are under way than were, and nobody needs to be woken for it.
            starter::begin_next(self, state);
        }
        if !state.waiting.is_empty() {
            self.starter.notify_one();
        }
        let State { notices, probe, .. } = state;
        notices.tell(probe);
    }

    fn carry_out(self: &Arc<Self>, state: &mut State, effect: Effect) {
        match effect {
            Effect::Run(run) => state.waiting.add(run),
            Effect::Gather(gathering) => {
                let work = self.prober.gather(&gathering.check, gathering.place.as_deref());
                self.spawn(async move {
                    Event::Gathered { id: gathering.id, found: Box::new(gathered(work).await) }
                });
            }
            Effect::Cancel(run) => {
                if !state.runs.stop(run) {
                    state.waiting.cancel(run);
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
            Effect::Link(effect) => self.talk(state, effect),
            Effect::Disk(op) => {
                // The disk's thread ends after the machine.
                let _ = state.disk.as_ref().map(|disk| disk.send(op));
            }
            Effect::Halt => {}
        }
    }

    fn talk(self: &Arc<Self>, state: &mut State, effect: uplink::Effect) {
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
                hush(state);
                let orders = self.link.orders(coordinator, self.probe_id.clone(), epoch);
                let shell = Arc::clone(self);
                let task = self.spawn(async move {
                    if let Err(failure) = listen(stream, orders, &shell).await {
                        tracing::debug!(coordinator, %failure, "stream of orders ended");
                    }
                    Event::Silent { stream }
                });
                state.orders = Some(task);
            }
            uplink::Effect::Hush => hush(state),
            uplink::Effect::Disk(op) => self.carry_out(state, Effect::Disk(op)),
        }
    }

    fn begin(self: &Arc<Self>, run: Run) -> AbortHandle {
        let deadline = run.check.spec.schedule.timeout;
        let (clock, prober) = (self.clock, Arc::clone(&self.prober));
        self.spawn(async move {
            let started: Mono = clock.elapsed();
            let work = async { prober.run(&run.check, deadline).await };
            let outcome = Box::new(contained(work).await);
            Event::Ended { run: run.id, started, ended: clock.elapsed(), outcome }
        })
    }

    fn spawn(self: &Arc<Self>, work: impl Future<Output = Event> + Send + 'static) -> AbortHandle {
        let shell = Arc::clone(self);
        let task = self.runtime.spawn(async move { shell.step(work.await) });
        task.abort_handle()
    }
}

fn hush(state: &mut State) {
    if let Some(task) = state.orders.take() {
        task.abort();
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
    shell: &Arc<Shell>,
) -> Result<(), Failure> {
    let mut orders = in_time(OPEN_TIMEOUT, orders).await?;
    while let Some(order) = orders.next().await {
        let order = order?;
        if let Order::Assignment(new) = &order {
            shell.keeper.ordered(&new.checks).await;
        }
        shell.step(Event::Ordered { stream, order });
    }
    Ok(())
}

/// The disk's thread: does what it is asked, in order.
fn keep(store: &mut dyn Store, ops: &Receiver<DiskOp>, answers: &Arc<Shell>) {
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
        // After the end it is taken for nothing; the remaining operations are still done.
        answers.step(event);
    }
}
