//! Raft: the only files that name openraft.
