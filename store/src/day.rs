//! UTC days, by which the tables are partitioned.

use demarc_proto::{Millis, TimeRange};
use jiff::{ToSpan, civil::Date};

use crate::Table;

/// A UTC day, counted from 1970-01-01. Times outside the years 1 to 9999 count as the first or last day of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i32);

const MILLIS_PER_DAY: i64 = 86_400_000;

impl Day {
    /// 0001-01-01.
    pub(crate) const FIRST: Self = Self(-719_162);
    /// 9999-12-31.
    pub(crate) const LAST: Self = Self(2_932_896);

    /// The day that contains `time`.
    pub(crate) fn of_millis(time: Millis) -> Self {
        Self::of_units(time.0, MILLIS_PER_DAY)
    }

    /// The day of a value of `table`'s time column.
    pub(crate) fn of_row(table: Table, time: i64) -> Self {
        Self::of_units(time, table.units_per_day())
    }

    /// The first and the last day that `range` touches.
    pub(crate) fn span(range: TimeRange) -> (Self, Self) {
        let first = range.start().to_millis();
        let last = range.end().minus(std::time::Duration::from_nanos(1));
        (Self::of_millis(first), Self::of_millis(last.to_millis()))
    }

    /// `YYYY-MM-DD`.
    pub(crate) fn date(self) -> String {
        let epoch = Date::constant(1970, 1, 1);
        let date = epoch
            .checked_add(i64::from(self.0).days())
            .expect("days are kept within the years that a date can show");
        date.to_string()
    }

    /// The day that `date`, `YYYY-MM-DD`, names.
    pub(crate) fn of_date(date: &str) -> Option<Self> {
        let epoch = Date::constant(1970, 1, 1);
        let date: Date = date.parse().ok()?;
        let days = epoch.until(date).ok()?.get_days();
        Some(Self(days))
    }

    /// So many days earlier.
    pub(crate) fn minus(self, days: u32) -> Self {
        let day = i64::from(self.0) - i64::from(days);
        Self::of_units(day, 1)
    }

    /// The day after it.
    pub(crate) fn next(self) -> Self {
        Self::of_units(i64::from(self.0) + 1, 1)
    }

    /// Its first moment.
    pub(crate) fn start(self) -> Millis {
        Millis(i64::from(self.0) * MILLIS_PER_DAY)
    }

    fn of_units(time: i64, units_per_day: i64) -> Self {
        let day = time
            .div_euclid(units_per_day)
            .clamp(Self::FIRST.0.into(), Self::LAST.0.into());
        Self(i32::try_from(day).expect("the clamped range fits"))
    }
}

#[cfg(test)]
mod tests {
    use demarc_proto::Nanos;

    use super::*;

    #[test]
    fn days_have_the_dates_of_the_calendar() {
        let cases = [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400_000, "2000-02-29"),
            (i64::MAX, "9999-12-31"),
            (i64::MIN, "0001-01-01"),
        ];
        for (millis, date) in cases {
            assert_eq!(Day::of_millis(Millis(millis)).date(), date);
            assert_eq!(Day::of_date(date), Some(Day::of_millis(Millis(millis))));
        }
    }

    #[test]
    fn a_range_that_ends_at_midnight_does_not_touch_the_next_day() {
        let day = MILLIS_PER_DAY * 1_000_000;
        let range = TimeRange::new(Nanos(0), Nanos(day)).unwrap();
        assert_eq!(Day::span(range), (Day(0), Day(0)));
    }
}
