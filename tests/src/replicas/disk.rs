//! How long a machine's disk takes. What was not written when its process dies is gone.

use std::time::Duration;

use crosscheck_coordinator::surroundings::Disk;
use futures_util::future::BoxFuture;

use super::ground::Shared;

pub(super) struct SlowDisk {
    pub(super) ground: Shared,
    pub(super) seat: usize,
}

impl SlowDisk {
    fn takes(&self, most_ms: u64, slow_ms: u64) -> BoxFuture<'static, ()> {
        let mut ground = self.ground.lock();
        let most_ms = if ground.slow.contains(&self.seat) { slow_ms } else { most_ms };
        let time = ground.random.millis(0, most_ms);
        Box::pin(async move {
            if time > Duration::ZERO {
                tokio::time::sleep(time).await;
            }
        })
    }
}

impl Disk for SlowDisk {
    fn write(&self) -> BoxFuture<'static, ()> {
        self.takes(40, 2_000)
    }

    fn answer(&self) -> BoxFuture<'static, ()> {
        self.takes(2, 20)
    }
}
