//! Measurements on this node's disk: append, roll up, query, retain.
