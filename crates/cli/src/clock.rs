//! Times for people. UTC, because a terminal may be anywhere and logs are compared.

use waxwing_client::views::Millis;

const MILLIS_PER_MINUTE: f64 = 60_000.0;
/// The first instant of the year 10000.
const END: f64 = 253_402_300_800_000.0;

/// `2026-11-23 05:46Z`. The sender's clock says what it likes, so any number may come.
pub(crate) fn utc(at: Millis) -> String {
    if !(0.0..END).contains(&at) {
        return "????-??-?? ??:??Z".to_owned();
    }
    let minutes = (at / MILLIS_PER_MINUTE) as u64;
    let (year, month, day) = date(minutes / (24 * 60));
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}Z", minutes / 60 % 24, minutes % 60)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    // Counted from 0000-03-01, so that leap days end a year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (at, text) in [
            (0.0, "1970-01-01 00:00Z"),
            (951_782_399_999.0, "2000-02-28 23:59Z"),
            (951_782_400_000.0, "2000-02-29 00:00Z"),
            (951_868_800_000.0, "2000-03-01 00:00Z"),
            (1_767_225_599_000.0, "2025-12-31 23:59Z"),
            (1_795_412_760_000.0, "2026-11-23 05:46Z"),
            (END - 1.0, "9999-12-31 23:59Z"),
        ] {
            assert_eq!(utc(at), text);
        }
    }

    #[test]
    fn impossible_times() {
        for at in [-1.0, END, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(utc(at), "????-??-?? ??:??Z");
        }
    }
}
