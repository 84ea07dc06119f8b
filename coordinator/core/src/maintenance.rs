//! Maintenance windows: whether a check is in one.
