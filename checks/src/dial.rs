//! Opening connections: resolve, connect, TLS, with a timing for each phase and the guard.
