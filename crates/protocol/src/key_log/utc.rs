//! Times as text, to the millisecond. A signer's clock says what it likes, so every `u64` has its text, and no two the same.

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// `2026-11-26T09:30:00.123Z`; a year after 9999 has as many digits as it needs.
pub(super) fn text(at_ms: u64) -> String {
    let (year, month, day) = civil_date(at_ms / DAY_MS);
    let rest = at_ms % DAY_MS;
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000)
}

/// Whether it has the form that [`text`] gives; that the day exists is not asked.
pub(super) fn is_canonical(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-') else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (4..=12).contains(&year.len())
        && digits(year)
        && rest.len() == "11-26T09:30:00.123Z".len()
        && rest.bytes().zip("00-00T00:00:00.000Z".bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

/// Year, month and day, of the proleptic Gregorian calendar in UTC, of a day counted from 1970-01-01 (Howard Hinnant, `civil_from_days`).
#[must_use]
pub fn civil_date(days: u64) -> (u64, u64, u64) {
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
        for (at, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_795_412_760_000, "2026-11-23T05:46:00.000Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(text(at), expected);
        }
        for at in [0, 1, 951_782_400_001, u64::MAX] {
            assert!(is_canonical(&text(at)), "{}", text(at));
        }
    }

    #[test]
    fn other_forms() {
        for bad in
            ["", "-", "2026-11-26", "2026-11-26T09:30:00.123", "2026-11-26 09:30:00.123Z", "1-11-26T09:30:00.123Z"]
        {
            assert!(!is_canonical(bad), "{bad}");
        }
        assert!(!is_canonical("2026-1é-26T09:30:00.12Z"));
    }
}
