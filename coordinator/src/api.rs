//! The operators' and customers' API: JSON from applied state and history.
