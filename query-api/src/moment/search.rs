//! Finding a place in a log by halves, pure: who searches says what was found where the search asks.
//!
//! A log may have gaps between its numbers, so a question is "which item comes next behind this number", and an answer
//! counts for everything in between.

/// A search for the last of the items, in the order of their numbers, that satisfy something: all up to it do, and none
/// behind it.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// All items up to here satisfy it.
    low: u64,
    /// No item behind this one does.
    high: u64,
}

impl Search {
    /// Begins; no item has a greater number than `last`.
    pub const fn up_to(last: u64) -> Self {
        Self { low: 0, high: last }
    }

    /// The number behind which to look for the next item, until all is known.
    pub const fn question(&self) -> Option<u64> {
        if self.low < self.high {
            Some(self.low + (self.high - self.low) / 2)
        } else {
            None
        }
    }

    /// Takes the answer to a question: the number of the item that comes next, if there is one, and whether it satisfies.
    pub fn learn(&mut self, asked: u64, next: Option<(u64, bool)>) {
        match next {
            Some((number, true)) if number <= self.high => self.low = number,
            // What lies behind `high` is known already, so there is nothing in between.
            Some(_) | None => self.high = asked,
        }
    }

    /// The greatest number that is known to satisfy, and the answer at the end; 0 if there is none.
    pub const fn found(&self) -> u64 {
        self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last of `numbers` that is at most `bound`, and how many questions that took.
    fn search(numbers: &[u64], bound: u64) -> (u64, usize) {
        let mut search = Search::up_to(numbers.last().copied().unwrap_or_default());
        let mut questions = 0;
        while let Some(asked) = search.question() {
            questions += 1;
            let next = numbers.iter().find(|number| **number > asked);
            search.learn(asked, next.map(|number| (*number, *number <= bound)));
        }
        (search.found(), questions)
    }

    #[test]
    fn the_last_that_satisfies_is_found_with_and_without_gaps() {
        let dense: Vec<u64> = (1..=100).collect();
        let sparse: Vec<u64> = (1..=100).map(|number| number * number * 7).collect();
        for numbers in [dense, sparse, vec![1], vec![900]] {
            for bound in 0..=1_000 {
                let wanted = numbers.iter().rfind(|number| **number <= bound);
                let (found, _) = search(&numbers, bound);
                assert_eq!(found, wanted.copied().unwrap_or_default(), "{bound}");
            }
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        assert_eq!(search(&[], 5), (0, 0));
    }

    #[test]
    fn each_question_halves_what_is_left() {
        let numbers: Vec<u64> = (1..=1_000).map(|number| number << 30).collect();
        for bound in [0, 5 << 30, 500 << 30, u64::MAX] {
            let (_, questions) = search(&numbers, bound);
            assert!(questions <= 40, "{questions} questions");
        }
    }
}
