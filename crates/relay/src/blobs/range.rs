//! `Content-Range` of a part that is put up, and `Range` of what is fetched (RFC 9110, section 14).

use std::ops::Range;

use super::Part;

/// Most digits of a number: none has more than a `u64`.
const MAX_DIGITS: usize = 20;

/// What a `Content-Range` says of a request's body (RFC 9110, sections 14.4 and 14.5): `bytes FIRST-LAST/SIZE`, or `bytes */SIZE` for none. None if it
/// cannot be read.
pub(crate) fn content_range(text: &str) -> Option<Part> {
    let (range, size) = unit(text, ' ')?.split_once('/')?;
    let size = number(size)?;
    if range == "*" {
        return Some(Part::Nothing { size });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last < size).then_some(Part::Some { first, last, size })
}

/// What a `Range` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All: another unit, more than one range, or nothing that can be read, all of which a server may pass over (RFC 9110, section 14.2).
    All,
    /// These bytes.
    Bytes(Range<u64>),
    /// None that there are.
    Unsatisfiable,
}

/// What `Range: TEXT` asks for of `size` bytes.
pub(crate) fn range(text: &str, size: u64) -> Asked {
    let Some((first, last)) = unit(text, '=').and_then(|set| set.trim().split_once('-')) else { return Asked::All };
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Asked::All,
        // The last so many.
        (true, false) => number(last).map(|length| size.saturating_sub(length)..size),
        (false, true) => number(first).map(|first| first..size),
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(first..last.saturating_add(1).min(size)),
            _ => None,
        },
    };
    match range {
        None => Asked::All,
        Some(range) if range.start < range.end => Asked::Bytes(range),
        Some(_) => Asked::Unsatisfiable,
    }
}

/// What stands behind the unit `bytes`, in whatever case.
fn unit(text: &str, separator: char) -> Option<&str> {
    let (unit, rest) = text.trim().split_once(separator)?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_body_is_of_a_blob() {
        assert_eq!(content_range("bytes 0-9/10"), Some(Part::Some { first: 0, last: 9, size: 10 }));
        assert_eq!(content_range("Bytes 5-5/10"), Some(Part::Some { first: 5, last: 5, size: 10 }));
        assert_eq!(content_range("bytes */10"), Some(Part::Nothing { size: 10 }));
        for bad in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 0-9/*",
            "bytes 0-10/10",
            "bytes 5-4/10",
            "bytes -5/10",
            "bytes 5-/10",
            "bytes=0-9/10",
            "bits 0-9/10",
            "bytes */",
            "bytes 0-0/0",
            "bytes +0-9/10",
            "bytes 0-9/18446744073709551616",
            "bytes 0-18446744073709551615/18446744073709551615",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_asked_for() {
        for (text, bytes) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-99", 0..10),
            ("bytes=9-", 9..10),
            ("BYTES=3-5", 3..6),
            ("bytes=-1", 9..10),
            ("bytes=-99", 0..10),
            ("bytes=0-18446744073709551615", 0..10),
        ] {
            assert_eq!(range(text, 10), Asked::Bytes(bytes), "{text}");
        }
        for text in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=18446744073709551615-"] {
            assert_eq!(range(text, 10), Asked::Unsatisfiable, "{text}");
        }
        for text in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes 0-1"]
        {
            assert_eq!(range(text, 10), Asked::All, "{text}");
        }
    }
}
