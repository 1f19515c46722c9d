//! Parts of the date and time, in UTC, of values that are seconds since the epoch.

/// The part called `name`.
pub(super) fn of_time(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |at| (at / 60.0).floor().rem_euclid(60.0),
        "hour" => |at| (at / 3600.0).floor().rem_euclid(24.0),
        "day_of_week" => |at| (days(at) + 4).rem_euclid(7) as f64,
        "day_of_month" => |at| date(days(at)).2 as f64,
        "day_of_year" => |at| {
            let (year, _, _) = date(days(at));
            (days(at) - first_day(year) + 1) as f64
        },
        "days_in_month" => |at| {
            let (year, month, _) = date(days(at));
            let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            match month {
                2 if is_leap => 29.0,
                2 => 28.0,
                4 | 6 | 9 | 11 => 30.0,
                _ => 31.0,
            }
        },
        "month" => |at| date(days(at)).1 as f64,
        "year" => |at| date(days(at)).0 as f64,
        _ => return None,
    })
}

/// No calendar goes beyond this many days, and no sum of a few overflows below it.
const MAX_DAYS: i64 = 1_000_000_000_000_000;

fn days(at: f64) -> i64 {
    ((at / 86_400.0).floor() as i64).clamp(-MAX_DAYS, MAX_DAYS)
}

/// Year, month and day of a day since the epoch (proleptic Gregorian calendar).
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

/// The first day of a year, since the epoch.
fn first_day(year: i64) -> i64 {
    let before = year - 1;
    365 * before + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_days() {
        let at = 1_709_209_800.0; // 2024-02-29 12:30 UTC, a Thursday
        let part = |name: &str| of_time(name).unwrap()(at);
        assert_eq!(part("year"), 2024.0);
        assert_eq!(part("month"), 2.0);
        assert_eq!(part("day_of_month"), 29.0);
        assert_eq!(part("day_of_week"), 4.0);
        assert_eq!(part("day_of_year"), 60.0);
        assert_eq!(part("days_in_month"), 29.0);
        assert_eq!((part("hour"), part("minute")), (12.0, 30.0));
    }

    #[test]
    fn times_beyond_every_calendar_have_parts() {
        for at in [1e300, -1e300, f64::INFINITY, f64::NAN] {
            for name in ["year", "month", "day_of_year", "days_in_month"] {
                of_time(name).unwrap()(at);
            }
        }
    }
}
