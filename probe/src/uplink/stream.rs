//! The stream of orders: reopened elsewhere when it ends or falls silent.

use super::{Effect, Route, STREAM_SILENCE};
use crate::Mono;
use crate::jitter::Jitter;

#[derive(Debug)]
enum State {
    Down { retry_at: Mono },
    Up { id: u64, heard: Mono },
}

#[derive(Debug)]
pub(super) struct Stream {
    route: Route,
    state: State,
}

impl Stream {
    pub(super) fn new(now: Mono, route: Route) -> Self {
        Self { route, state: State::Down { retry_at: now } }
    }

    pub(super) fn time(
        &mut self,
        now: Mono,
        epoch: u64,
        attempts: &mut u64,
        jitter: &mut Jitter,
    ) -> Option<Effect> {
        if let State::Up { id, heard } = self.state
            && now > heard + STREAM_SILENCE
        {
            self.ended(now, id, jitter);
        }
        let State::Down { retry_at } = self.state else { return None };
        if now < retry_at {
            return None;
        }
        *attempts += 1;
        self.state = State::Up { id: *attempts, heard: now };
        Some(Effect::Listen { stream: *attempts, coordinator: self.route.at(), epoch })
    }

    /// Something came over the stream; whether it is the present one.
    pub(super) fn heard(&mut self, now: Mono, stream: u64) -> bool {
        match &mut self.state {
            State::Up { id, heard } if *id == stream => {
                *heard = now;
                self.route.succeeded();
                true
            }
            _ => false,
        }
    }

    pub(super) fn ended(&mut self, now: Mono, stream: u64, jitter: &mut Jitter) {
        if matches!(self.state, State::Up { id, .. } if id == stream) {
            self.state = State::Down { retry_at: now + self.route.failed(jitter) };
        }
    }

    pub(super) fn wake(&self) -> Mono {
        match self.state {
            State::Down { retry_at } => retry_at,
            // Just past the limit, as silence of exactly the limit is still allowed.
            State::Up { heard, .. } => heard + STREAM_SILENCE + std::time::Duration::from_millis(1),
        }
    }
}
