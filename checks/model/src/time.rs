//! Moments, in whole milliseconds since the Unix epoch; integer arithmetic only.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment. JSON carries RFC 3339 UTC, binary formats carry milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch: earlier than every real moment.
    pub const ZERO: Self = Self(0);

    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `self` moved into the future.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// `self` moved into the past, not before the epoch.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }
}

/// Whole milliseconds of a duration, saturating.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-11-22T03:40:47.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let moment: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
            u64::try_from(moment.as_millisecond())
                .map(Self)
                .map_err(|_| de::Error::custom("a moment before 1970"))
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_rfc_3339_and_comes_back() {
        let moment = Timestamp::from_millis(1_795_318_847_123);
        let json = serde_json::to_string(&moment).expect("a string");
        assert_eq!(json, "\"2026-11-22T03:40:47.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("parses"), moment);
    }

    #[test]
    fn binary_is_the_number() {
        let moment = Timestamp::from_millis(7);
        let bytes = postcard::to_stdvec(&moment).expect("encodes");
        assert_eq!(bytes, [7]);
        assert_eq!(postcard::from_bytes::<Timestamp>(&bytes).expect("decodes"), moment);
    }

    #[test]
    fn differences_never_go_below_zero() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.minus(Duration::from_secs(1)), Timestamp::ZERO);
    }
}
