//! NTP's packets (RFC 5905 section 7.3) and its time stamps.

use std::time::Duration;

/// A header without extensions.
const HEADER_BYTES: usize = 48;

/// Version 4, mode 3 (client).
const CLIENT: u8 = 0x23;

/// The mode of answers.
const MODE_SERVER: u8 = 4;

/// "Unknown, the clock is not synchronised".
pub(super) const LEAP_UNKNOWN: u8 = 3;

/// The stratum of who has no time, and those above it are reserved.
pub(super) const UNSYNCHRONISED: u8 = 16;

/// From 1900 to 1970.
const UNIX_EPOCH_SECONDS: u64 = 2_208_988_800;

/// Parts of a second: 2^32.
const FRACTION: f64 = 4_294_967_296.0;

/// A moment in 64 bits: seconds of the era and 2^-32 of them. Eras are 136 years; the difference
/// of two moments is right as long as they are within half an era of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) u64);

impl Stamp {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// So long after the beginning of 1970.
    pub(super) fn of(since_1970: Duration) -> Self {
        let seconds = (since_1970.as_secs() + UNIX_EPOCH_SECONDS) % (1 << 32);
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds << 32 | fraction)
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Of this moment after the other; below 0 when it was before.
    pub(super) fn milliseconds_since(self, other: Self) -> f64 {
        self.0.wrapping_sub(other.0).cast_signed() as f64 / FRACTION * 1e3
    }
}

/// A question that gives nothing away but its cookie.
pub(super) fn question(cookie: Stamp) -> [u8; HEADER_BYTES] {
    let mut packet = [0; HEADER_BYTES];
    packet[0] = CLIENT;
    packet[HEADER_BYTES - 8..].copy_from_slice(&cookie.0.to_be_bytes());
    packet
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// 0: none; 1 and 2: a leap second is near; 3: not synchronised.
    pub(super) leap: u8,
    /// Steps to a reference clock; 0 of a kiss-o'-death.
    pub(super) stratum: u8,
    /// To the reference clock and back.
    pub(super) root_delay_ms: f64,
    /// How unsure the server is.
    pub(super) root_dispersion_ms: f64,
    /// The reference clock's id, or the kiss's code.
    reference: [u8; 4],
    /// The question's cookie.
    pub(super) origin: Stamp,
    /// When the question came.
    pub(super) receive: Stamp,
    /// When the answer left.
    pub(super) transmit: Stamp,
}

impl Answer {
    /// Reads one; extensions and authentication behind the header are passed over.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn read(packet: &[u8]) -> Result<Self, String> {
        let Some(header) = packet.first_chunk::<HEADER_BYTES>() else {
            return Err(format!(
                "{} bytes came, an answer has at least {HEADER_BYTES}",
                packet.len()
            ));
        };
        let (version, mode) = (header[0] >> 3 & 7, header[0] & 7);
        if mode != MODE_SERVER || !(1..=4).contains(&version) {
            return Err(format!("version {version}, mode {mode} is no answer of a time server"));
        }
        let stamp = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            Stamp(u64::from_be_bytes(bytes))
        };
        // Both in 16.16 bits; each pair of them is half of eight bytes.
        let root = stamp(4).0;
        let milliseconds = |short: u64| (short & 0xffff_ffff) as f64 / 65_536.0 * 1e3;
        let mut reference = [0; 4];
        reference.copy_from_slice(&header[12..16]);
        Ok(Self {
            leap: header[0] >> 6,
            stratum: header[1],
            root_delay_ms: milliseconds(root >> 32),
            root_dispersion_ms: milliseconds(root),
            reference,
            origin: stamp(24),
            receive: stamp(32),
            transmit: stamp(40),
        })
    }

    /// The reference's letters, as far as they are letters.
    pub(super) fn reference_word(&self) -> String {
        let letters = self.reference.iter().copied().map(char::from);
        letters.filter(char::is_ascii_alphanumeric).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_apart_also_over_the_end_of_an_era() {
        let unix = Stamp::of(Duration::ZERO);
        assert_eq!(unix.0 >> 32, UNIX_EPOCH_SECONDS);
        let half = Stamp(unix.0 + (1 << 31));
        assert!((half.milliseconds_since(unix) - 500.0).abs() < 1e-6);
        assert!((unix.milliseconds_since(half) + 500.0).abs() < 1e-6);
        let (last, first) = (Stamp(u64::MAX - (1 << 32) + 1), Stamp(0));
        assert!((first.milliseconds_since(last) - 1000.0).abs() < 1e-3, "2036-02-07");
    }

    #[test]
    fn an_answer_is_read_field_by_field() {
        let mut packet = question(Stamp(7));
        packet[0] = 0b01_100_100;
        packet[1] = 2;
        packet[4..12].copy_from_slice(&[0, 0, 0x80, 0, 0, 1, 0, 0]);
        packet[12..16].copy_from_slice(b"GPS\0");
        packet[24..32].copy_from_slice(&9_u64.to_be_bytes());
        packet[32..40].copy_from_slice(&10_u64.to_be_bytes());
        let answer = Answer::read(&packet).expect("an answer");
        assert_eq!((answer.leap, answer.stratum), (1, 2));
        assert_eq!((answer.root_delay_ms, answer.root_dispersion_ms), (500.0, 1000.0));
        assert_eq!(answer.reference_word(), "GPS");
        let stamps = (answer.origin, answer.receive, answer.transmit);
        assert_eq!(stamps, (Stamp(9), Stamp(10), Stamp(7)));
        packet[0] = CLIENT;
        assert!(Answer::read(&packet).expect_err("a question").contains("mode 3"));
    }

    proptest! {
        /// Whatever comes is read without a panic.
        #[test]
        fn any_packet_is_read(packet in prop::collection::vec(any::<u8>(), 0..100)) {
            let read = Answer::read(&packet);
            prop_assert!(read.is_err() || packet.len() >= HEADER_BYTES);
        }
    }
}
