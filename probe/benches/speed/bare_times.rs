//! What a plain tokio loop reports of the server that answers after an exact time: what the
//! probe's own figure is to be judged by. No schedule, no phases, no report: a request, and the time
//! from its start to the end of its answer.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::floor;
use crate::work::{Ports, address};

/// Between two requests to the exact server: as often as the probe's checks of it.
const EVERY: Duration = Duration::from_millis(25);

/// Between two groups of the requests beside, where they have a pace.
const TICK: Duration = Duration::from_millis(1);

/// The first so many are not told: they are of a cold start.
const COLD: usize = 20;

/// What was timed in this long, beside so many HTTP requests a second, and beside as many as can be
/// done if `too_much`.
///
/// # Errors
/// A request is not answered.
pub(crate) fn run(
    (ports, held): (Ports, u16),
    (per_second, too_much): (u32, bool),
    time: Duration,
) -> io::Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let lanes = if too_much { floor::IN_FLIGHT } else { 0 };
        let lanes: Vec<_> = (0..lanes).map(|lane| tokio::spawn(saturate(lane, ports))).collect();
        let paced = (per_second > 0).then(|| tokio::spawn(keep_pace(per_second, ports)));
        let timed = timed(held, time).await;
        lanes.iter().for_each(JoinHandle::abort);
        paced.iter().for_each(JoinHandle::abort);
        timed
    })
}

async fn timed(held: u16, time: Duration) -> io::Result<Vec<Duration>> {
    let mut ticks = interval(EVERY);
    let (until, mut asked) = (Instant::now() + time, Vec::new());
    while Instant::now() < until {
        ticks.tick().await;
        asked.push(tokio::spawn(async move {
            let started = Instant::now();
            get(Ipv4Addr::LOCALHOST, held).await?;
            Ok(started.elapsed())
        }));
    }
    let took: Vec<io::Result<Duration>> =
        join_all(asked).await.into_iter().map(|joined| joined.map_err(io::Error::other)?).collect();
    took.into_iter().skip(COLD).collect()
}

async fn get(at: Ipv4Addr, port: u16) -> io::Result<()> {
    floor::plain(at, port, "/").await
}

/// Requests one after the other.
async fn saturate(lane: u32, ports: Ports) -> io::Result<()> {
    loop {
        get(address(lane), ports.http).await?;
    }
}

/// So many requests a second, some each tick.
async fn keep_pace(per_second: u32, ports: Ports) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, mut done) = (Instant::now(), 0_u32);
    loop {
        ticks.tick().await;
        let due = began.elapsed().as_secs_f64() * f64::from(per_second);
        while f64::from(done) < due {
            done += 1;
            let at = address(done);
            drop(tokio::spawn(async move { get(at, ports.http).await }));
        }
    }
}
