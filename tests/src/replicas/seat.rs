//! A machine with a coordinator on it: started, given its turn, paused, killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::Response;
use crosscheck_coordinator::cluster::Program;
use crosscheck_coordinator::fatal::Fatal;
use crosscheck_coordinator::member::Member;
use crosscheck_coordinator::replica::{Profile, ReplicaConfig};
use crosscheck_coordinator::surroundings::{Lost, Question, Storage, Surroundings};
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, advance, sleep_until};
use tower::ServiceExt;

use super::clock::MachineClock;
use super::disk::SlowDisk;
use super::ground::{Life, Shared, Word};
use super::network::{Content, Letter, Link};
use super::sink;

/// How long a turn is: no message is faster.
pub(super) const TURN: Duration = Duration::from_millis(10);
/// Names the node that a request is for, and the node that answers.
const NODE_HEADER: &str = "x-crosscheck-node";

/// Something that a process is to do; it tells the world what came of it.
pub(super) type Job = Box<dyn FnOnce(&Member) -> BoxFuture<'static, ()>>;

/// A machine. Another node never gets it.
pub(super) struct Seat {
    pub(super) index: usize,
    /// The coordinator's number.
    pub(super) node: u64,
    pub(super) data: PathBuf,
    pub(super) life: u64,
    pub(super) running: Option<Running>,
    pub(super) paused: bool,
    /// It was taken out of the cluster.
    pub(super) removed: bool,
    /// It cannot be started any more.
    pub(super) damaged: bool,
    pub(super) ahead_ms: Arc<AtomicI64>,
    /// The terms that it led in, as it knew at the ends of its last two turns.
    pub(super) led: [Option<u64>; 2],
    inbox: Vec<Letter>,
    jobs: Vec<Job>,
}

/// A process.
pub(super) struct Running {
    pub(super) member: Member,
    router: Router,
    origin: Instant,
    began: Duration,
    // The last to go: all tasks end with it, wherever they are.
    pub(super) runtime: Runtime,
}

/// Where a seat's Raft listener is.
pub(super) fn base(index: usize) -> String {
    format!("http://seat-{index}")
}

fn seat_at(base: &str) -> Option<usize> {
    base.strip_prefix("http://seat-")?.parse().ok()
}

impl Seat {
    pub(super) fn new(index: usize, node: u64, folder: &Path) -> Self {
        Self {
            index,
            node,
            data: folder.join(index.to_string()),
            life: 0,
            running: None,
            paused: false,
            removed: false,
            damaged: false,
            ahead_ms: Arc::default(),
            led: [None; 2],
            inbox: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Whether it belongs to the cluster.
    pub(super) fn belongs(&self) -> bool {
        !self.removed && !self.damaged
    }

    /// Whether it works at present.
    pub(super) fn works(&self) -> bool {
        self.running.is_some() && !self.paused
    }

    pub(super) fn me(&self) -> Life {
        Life { seat: self.index, life: self.life }
    }

    /// Starts the process; why it does not start.
    pub(super) fn start(
        &mut self,
        ground: &Shared,
        acquaintances: BTreeMap<u64, String>,
        snapshot_every: u64,
    ) -> Result<(), String> {
        let builder = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = builder.expect("a runtime");
        let (me, began) = (self.me(), ground.lock().now);
        let fate = ground.clone();
        let fatal = Fatal::new(move |reason| {
            fate.lock().words.push(Word::Fatal(me, reason.to_owned()));
        });
        let disk = SlowDisk { ground: ground.clone(), seat: self.index };
        let link = Link { ground: ground.clone(), me, places: seat_at };
        let started = runtime.block_on(async {
            let origin = Instant::now();
            let config = ReplicaConfig {
                id: self.node,
                url: base(self.index),
                acquaintances,
                data: self.data.clone(),
                profile: Profile::Wan,
                credentials: None,
                snapshot_every,
                clock: Arc::new(MachineClock::start(began, self.ahead_ms.clone())),
                fatal,
                surroundings: Surroundings {
                    storage: Storage::Turns(Arc::new(disk)),
                    network: Some(Arc::new(link)),
                },
                program: Program::this(),
            };
            let member = Member::start(config, sink::carrier(ground, me)).await;
            let member = member.map_err(|error| error.to_string())?;
            let (replica, ground) = (member.replica().clone(), ground.clone());
            tokio::spawn(async move {
                let ending = replica.ended().await;
                ground.lock().words.push(Word::Ended(me, ending));
            });
            Ok::<_, String>((member, origin))
        });
        let (member, origin) = started?;
        let router = member.raft_routes();
        self.running = Some(Running { member, router, origin, began, runtime });
        self.led = [None; 2];
        Ok(())
    }

    /// The process dies: whatever it was about to do is not done.
    pub(super) fn kill(&mut self) {
        self.running = None;
        self.paused = false;
        self.life += 1;
        self.jobs.clear();
    }

    pub(super) fn give(&mut self, job: Job) {
        self.jobs.push(job);
    }

    pub(super) fn receive(&mut self, letter: Letter) {
        self.inbox.push(letter);
    }

    /// Lets the process go on until the turn beginning at `now` is over.
    pub(super) fn turn(&mut self, ground: &Shared, now: Duration) {
        if self.paused {
            return;
        }
        let me = self.me();
        let letters = std::mem::take(&mut self.inbox);
        let Some(Running { member, router, origin, began, runtime }) = &self.running else {
            return letters.into_iter().for_each(|letter| refuse(ground, me, letter));
        };
        let jobs = std::mem::take(&mut self.jobs);
        let end = *origin + (now + TURN).saturating_sub(*began);
        runtime.block_on(async {
            // It stood still: its clock has not.
            let missed = end.saturating_duration_since(Instant::now()).saturating_sub(TURN);
            if missed > TURN {
                advance(missed).await;
            }
            for letter in letters {
                receive(ground, me, router, letter);
            }
            for job in jobs {
                tokio::spawn(job(member));
            }
            sleep_until(end).await;
        });
        let leadership = *member.replica().leadership().borrow();
        self.led = [self.led[1], leadership.is_leader.then_some(leadership.term)];
    }
}

fn receive(ground: &Shared, me: Life, router: &Router, letter: Letter) {
    let Letter { from, asker, content, .. } = letter;
    match content {
        Content::Answer(life, answer) if life == me.life => asker.answer(answer),
        Content::Answer(..) => {}
        Content::Question(question) => {
            let (ground, router) = (ground.clone(), router.clone());
            tokio::spawn(async move {
                let answer = serve(router, &question).await;
                let mut ground = ground.lock();
                if let Ok(answer) = &answer {
                    let (path, asked) = (question.path.clone(), question.body);
                    ground.words.push(Word::Answered(me, path, asked, answer.clone()));
                }
                let content = Content::Answer(from.life, answer);
                ground.send(Letter { from: me, to: from.seat, asker, content });
            });
        }
    }
}

/// No process listens there.
fn refuse(ground: &Shared, me: Life, letter: Letter) {
    let Letter { from, asker, content, .. } = letter;
    if let Content::Question(_) = content {
        let answer = Err(Lost::NotTaken("nobody listens".to_owned()));
        let content = Content::Answer(from.life, answer);
        ground.lock().send(Letter { from: me, to: from.seat, asker, content });
    }
}

/// Asks the production routes, as the listener does.
async fn serve(router: Router, question: &Question) -> Result<Vec<u8>, Lost> {
    let request = Request::post(format!("/raft/v1/{}", question.path))
        .header(NODE_HEADER, question.to)
        .body(Body::from(question.body.clone()))
        .expect("a request");
    let response: Response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let status = response.status();
    if !status.is_success() {
        return Err(Lost::NotTaken(format!("it answered {status}")));
    }
    let who = response.headers().get(NODE_HEADER).and_then(|id| id.to_str().ok());
    if who.and_then(|id| id.parse().ok()) != Some(question.to) {
        return Err(Lost::NotTaken("another node answers there".to_owned()));
    }
    let body = to_bytes(response.into_body(), usize::MAX).await;
    body.map(|body| body.to_vec()).map_err(|error| Lost::NotTaken(error.to_string()))
}
