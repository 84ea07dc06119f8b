//! The probes' API: sessions, reports, orders.
