//! The status page, rendered on the server.
