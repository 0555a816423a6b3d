//! Times for people. UTC, because a terminal may be anywhere and logs are compared.

use waxwing_client::civil_date;
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
    let (year, month, day) = civil_date(minutes / (24 * 60));
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}Z", minutes / 60 % 24, minutes % 60)
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
