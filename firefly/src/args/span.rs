//! Spans of time on the command line, such as `90s` or `1h 30m`.

use std::time::Duration;

use chrono::TimeDelta;

/// What a project may go unused at least, and at most.
const UNUSED_MIN: Duration = Duration::from_secs(1);
const UNUSED_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A span of time that a project may go unused.
pub fn unused(text: &str) -> Result<TimeDelta, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (UNUSED_MIN..=UNUSED_MAX).contains(&span) {
        TimeDelta::from_std(span).map_err(|error| error.to_string())
    } else {
        Err("give a second or more, and a year at most".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_neither_nothing_nor_for_ever() {
        assert_eq!(unused("90s"), Ok(TimeDelta::seconds(90)));
        assert_eq!(unused("1h 30m"), Ok(TimeDelta::minutes(90)));
        for text in ["", "5", "0s", "999ms", "2years", "-1s"] {
            assert!(unused(text).is_err(), "{text}");
        }
    }
}
