//! Parsers for text that people write. The command line, the settings and the HTTP side use them.

pub mod users;
pub mod values;

use std::time::Duration;

/// The error of a parser: what it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wanted(pub &'static str);

const TIME: Wanted = Wanted("a time with its unit: 300ms, 30s, 10m, 2h or 1m30s");
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Parses a time of at most a year, which may be zero.
pub(crate) fn span(text: &str) -> Result<Duration, Wanted> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(TIME)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(TIME),
        };
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(ms)).ok_or(TIME)?;
        total = total.checked_add(Duration::from_millis(part)).filter(|t| *t <= TIME_MAX).ok_or(TIME)?;
        if tail.is_empty() {
            return Ok(total);
        }
        rest = tail;
    }
}

/// Parses a time longer than zero.
pub(crate) fn positive(text: &str) -> Result<Duration, Wanted> {
    span(text).and_then(|time| if time.is_zero() { Err(TIME) } else { Ok(time) })
}

/// Writes a time with its units, the largest first, such as `1m30s`. Fractions of a millisecond are left out.
pub(crate) fn written(time: Duration) -> String {
    let mut ms = time.as_millis();
    let mut text = String::new();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if ms >= length {
            text.push_str(&format!("{}{unit}", ms / length));
            ms %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let ms = |text| span(text).unwrap().as_millis();
        assert_eq!(
            [ms("300ms"), ms("30s"), ms("10m"), ms("2h"), ms("1m30s"), ms("0s")],
            [300, 30_000, 600_000, 7_200_000, 90_000, 0]
        );
        for text in ["", "30", "s", "30 s", "-1s", "1.5s", "5d", "30S", "9999999h", "99999999999999999999s", "1m30"] {
            assert!(span(text).is_err(), "{text:?}");
        }
        assert!(positive("0s").is_err());
    }

    #[test]
    fn a_written_time_reads_back() {
        for text in ["300ms", "30s", "10m", "2h", "1m30s", "0s", "1h500ms"] {
            assert_eq!(written(span(text).unwrap()), text);
        }
        assert_eq!(written(Duration::from_secs(90)), "1m30s");
    }
}
