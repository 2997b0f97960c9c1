//! Reads the `Range` header (RFC 9110 §14).

/// What part of a representation is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, one we do not read, or several at once.
    All,
    /// The bytes from `first` to `last`, both included.
    Part { first: u64, last: u64 },
    /// Bytes behind the end.
    Impossible,
}

/// Decides what to send of `length` bytes.
pub(super) fn read(header: &str, length: u64) -> Wanted {
    parse(header, length).unwrap_or(Wanted::All)
}

fn parse(header: &str, length: u64) -> Option<Wanted> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    if first.is_empty() {
        let count = number(last)?.min(length);
        return Some(match length.checked_sub(count) {
            Some(first) if count > 0 => Wanted::Part {
                first,
                last: length - 1,
            },
            _ => Wanted::Impossible,
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    Some(if first < length {
        Wanted::Part {
            first,
            last: last.min(length - 1),
        }
    } else {
        Wanted::Impossible
    })
}

/// Digits only: no sign, no white space. A number too large for any file means "to the end".
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, wanted) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-", part(0, 9)),
            ("BYTES=2-5", part(2, 5)),
            ("bytes=5-100", part(5, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-100", part(0, 9)),
            ("bytes=0-99999999999999999999", part(0, 9)),
            ("bytes=10-", Wanted::Impossible),
            ("bytes=-0", Wanted::Impossible),
            ("bytes=99999999999999999999-", Wanted::Impossible),
            ("bytes=5-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=a-", Wanted::All),
            ("bytes", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes=-", Wanted::All),
        ] {
            assert_eq!(read(header, 10), wanted, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        assert_eq!(read("bytes=0-", 0), Wanted::Impossible);
        assert_eq!(read("bytes=-1", 0), Wanted::Impossible);
    }

    proptest! {
        #[test]
        fn a_part_is_always_inside(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", length in 0..100_u64) {
            if let Wanted::Part { first, last } = read(&header, length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }
}
