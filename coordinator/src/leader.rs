//! What only a leader does: stamp the time, tick, batch reports, drain the outbox.
