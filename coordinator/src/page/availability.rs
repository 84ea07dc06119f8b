//! Availability: one rule, one number, for the page, the API and the reports.
//!
//! `(up + degraded) / (up + degraded + down)`, over the time of confirmed verdicts. Time without
//! evidence, without data and in maintenance counts for neither side.

use std::time::Duration;

use crate::history::Day;

/// The rule, as the page states it.
pub(crate) const RULE: &str = "Availability is the time up or degraded, divided by the time up, \
     degraded or down. Only verdicts confirmed by the site quorum count, each outage from its \
     first failing run. Time unknown, without data or in maintenance is left out of both sides.";

/// A share of the time in hundred-thousandths (99.998 % is 99 998), rounded down so that a
/// second of downtime never reads as 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u32);

impl Share {
    /// All of the time.
    const WHOLE: u128 = 100_000;

    /// Of confirmed time; `None` when there was none.
    pub(crate) fn of(good: Duration, bad: Duration) -> Option<Self> {
        let (good, all) = (good.as_millis(), (good + bad).as_millis());
        let share = (good * Self::WHOLE).checked_div(all)?;
        u32::try_from(share).ok().map(Self)
    }

    /// `99.998 %`, without trailing zeros beyond two digits.
    pub(crate) fn text(self) -> String {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        match part {
            0 => format!("{whole} %"),
            part if part % 10 == 0 => format!("{whole}.{:02} %", part / 10),
            part => format!("{whole}.{part:03} %"),
        }
    }

    /// For JSON: percent with at most three decimals.
    pub(crate) fn percent(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// How the time of several days was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    /// The verdict was Up.
    pub(crate) up: Duration,
    /// The verdict was Degraded.
    pub(crate) degraded: Duration,
    /// The verdict was Down.
    pub(crate) down: Duration,
    /// There was no evidence either way.
    pub(crate) unknown: Duration,
    /// A maintenance was under way.
    pub(crate) maintenance: Duration,
    /// Nothing was recorded.
    pub(crate) no_data: Duration,
}

impl Total {
    /// The sum of days.
    pub(crate) fn of(days: &[Day]) -> Self {
        days.iter().fold(Self::default(), |sum, day| Self {
            up: sum.up + day.up,
            degraded: sum.degraded + day.degraded,
            down: sum.down + day.down,
            unknown: sum.unknown + day.unknown,
            maintenance: sum.maintenance + day.maintenance,
            no_data: sum.no_data + day.no_data,
        })
    }

    /// The availability; `None` without confirmed time.
    pub(crate) fn share(&self) -> Option<Share> {
        Share::of(self.up + self.degraded, self.down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn only_confirmed_time_counts() {
        let hours = |up: u32, degraded: u32, down: u32, other: u32| Total {
            up: up * HOUR,
            degraded: degraded * HOUR,
            down: down * HOUR,
            unknown: other * HOUR,
            maintenance: other * HOUR,
            no_data: other * HOUR,
        };
        for (total, text) in [
            (hours(24, 0, 0, 0), Some("100 %")),
            (hours(12, 12, 0, 9), Some("100 %")),
            (hours(18, 0, 6, 50), Some("75 %")),
            (hours(0, 0, 3, 0), Some("0 %")),
            (hours(2, 0, 1, 0), Some("66.666 %")),
            (hours(999, 0, 1, 0), Some("99.90 %")),
            (hours(0, 0, 0, 24), None),
        ] {
            assert_eq!(total.share().map(Share::text).as_deref(), text, "{total:?}");
        }
    }

    #[test]
    fn a_second_of_downtime_in_ninety_days_is_not_all() {
        let share = Share::of(90 * 24 * HOUR, Duration::from_secs(1)).expect("confirmed time");
        assert_eq!(share.text(), "99.999 %");
        assert!(share.percent() < 100.0);
    }
}
