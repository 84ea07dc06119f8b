//! The parts that something consists of which was loaded as a whole, such as a page: too many for a
//! record, and for whoever runs the check by hand.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// A part that was loaded, or not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What it is to the whole: `script`, `image`.
    pub role: String,
    /// Where it was asked for.
    pub url: String,
    /// What loading it took.
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    pub took: Duration,
    /// Its size, unpacked.
    pub bytes: u64,
    /// The same as it came.
    pub wire_bytes: u64,
    /// Whether nothing, or nothing more, is shown before it is there; `None`: nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<bool>,
    /// Why it was not loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// With three decimals: microseconds are what the clocks are good for.
fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
}
