//! Samples under the names that the tables give them.

/// The samples of one quantity, in milliseconds.
pub struct Samples {
    pub name: &'static str,
    values: Vec<f64>,
}

impl Samples {
    /// The smallest value that at least `percent` of a hundred values do not exceed (nearest rank).
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The middle value, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.len() % 2, sorted.get(middle)) {
            (_, None) => f64::NAN,
            (0, Some(upper)) => f64::midpoint(sorted[middle - 1], *upper),
            (_, Some(value)) => *value,
        }
    }
}

/// Quantities in the order in which they were first added.
#[derive(Default)]
pub struct Table {
    rows: Vec<Samples>,
}

impl Table {
    /// Adds one sample, in milliseconds.
    pub fn add(&mut self, name: &'static str, value: f64) {
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.rows.push(Samples {
                name,
                values: vec![value],
            }),
        }
    }

    pub fn get(&self, name: &str) -> Option<&Samples> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Takes the samples of a quantity out.
    pub fn take(self, name: &str) -> Option<Samples> {
        self.rows.into_iter().find(|row| row.name == name)
    }

    pub fn rows(&self) -> impl Iterator<Item = &Samples> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl IntoIterator<Item = u32>) -> Samples {
        Samples {
            name: "x",
            values: values.into_iter().map(f64::from).collect(),
        }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(samples((1..=20).rev()).percentile(95), 19.0);
        assert_eq!(samples(1..=5).percentile(95), 5.0);
        assert_eq!(samples(1..=500).percentile(99), 495.0);
        assert_eq!(samples([7]).percentile(50), 7.0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(samples([4, 1, 3, 2]).median(), 2.5);
        assert_eq!(samples([3, 1, 2]).median(), 2.0);
    }

    #[test]
    fn samples_of_one_name_come_together_in_the_order_of_their_first() {
        let mut table = Table::default();
        table.add("b", 1.0);
        table.add("a", 2.0);
        table.add("b", 3.0);
        let names: Vec<_> = table.rows().map(|row| row.name).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(table.get("b").unwrap().median(), 2.0);
    }
}
