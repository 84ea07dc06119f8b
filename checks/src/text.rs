//! Typed text in settings: durations (`30s`), sizes (`1MiB`), shares (`40%`), regular expressions.
