//! How often is killed.

use std::time::{Duration, Instant};

const KILLS: u32 = 200;
const QUICK_KILLS: u32 = 40;

/// When a quick run kills no more, whatever the number: what is checked at the end has its time too.
const QUICK_TIME: Duration = Duration::from_secs(35);

/// Kills that are to come, and those that were.
#[derive(Debug)]
pub struct Kills {
    done: usize,
    most: usize,
    end: Option<Instant>,
}

impl Kills {
    pub fn new(kills: Option<u32>, quick: bool) -> Self {
        let most = kills.unwrap_or(if quick { QUICK_KILLS } else { KILLS });
        Self {
            done: 0,
            most: most as usize,
            end: quick.then(|| Instant::now() + QUICK_TIME),
        }
    }

    /// The number of the next one, from 1 on; none if there were enough.
    pub fn next(&mut self) -> Option<usize> {
        let is_late = self.end.is_some_and(|end| Instant::now() > end);
        if self.done == self.most || is_late {
            return None;
        }
        self.done += 1;
        Some(self.done)
    }

    /// How many there were.
    pub const fn done(&self) -> usize {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(mut kills: Kills) -> usize {
        while kills.next().is_some() {}
        kills.done()
    }

    #[test]
    fn there_are_as_many_as_were_asked_for() {
        assert_eq!(count(Kills::new(None, false)), KILLS as usize);
        assert_eq!(count(Kills::new(None, true)), QUICK_KILLS as usize);
        assert_eq!(count(Kills::new(Some(7), true)), 7);
    }

    #[test]
    fn a_quick_run_ends_in_time() {
        let mut kills = Kills::new(None, true);
        kills.end = Some(Instant::now());
        assert_eq!(count(kills), 0);
    }
}
