//! A series that stays bounded however long a run is: points go in, and as many neighbours become one as it takes
//! to keep to the bound. All points but the last stand for equally many.

/// A point that can stand for its next neighbour too.
pub trait Point {
    /// This and the next as one.
    #[must_use]
    fn with(&self, next: &Self) -> Self;
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Thinned<P> {
    points: Vec<P>,
    most: usize,
    /// How many that were pushed make one point.
    stride: usize,
    /// How many of them the last point has.
    in_last: usize,
}

impl<P: Point> Thinned<P> {
    /// A series of so many points at most; an odd number counts as the next even one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Thinned {
            points: Vec::new(),
            most: most.next_multiple_of(2).max(2),
            stride: 1,
            in_last: 1,
        }
    }

    /// Adds a point at the end.
    pub fn push(&mut self, point: P) {
        match self.points.last_mut() {
            Some(last) if self.in_last < self.stride => {
                *last = last.with(&point);
                self.in_last += 1;
                return;
            }
            _ => {}
        }
        if self.points.len() == self.most {
            // Their number is even.
            let pairs = self.points.chunks_exact(2);
            self.points = pairs.map(|pair| pair[0].with(&pair[1])).collect();
            self.stride *= 2;
        }
        self.points.push(point);
        self.in_last = 1;
    }

    /// In order.
    #[must_use]
    pub fn points(&self) -> &[P] {
        &self.points
    }

    /// The same, for good.
    #[must_use]
    pub fn into_points(self) -> Vec<P> {
        self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Point for Vec<u32> {
        fn with(&self, next: &Self) -> Self {
            [&self[..], next].concat()
        }
    }

    /// Scenario: 1 to 1,000 numbers into a series of 8. Guarantees: all are there in order, never in more than 8
    /// points, and all points but the last stand for equally many.
    #[test]
    fn a_series_stays_bounded_and_even() {
        let mut series = Thinned::new(8);
        for number in 1..=1_000_u32 {
            series.push(vec![number]);
            let points = series.points();
            assert!(points.len() <= 8);
            let all: Vec<u32> = points.concat();
            assert_eq!(all, (1..=number).collect::<Vec<_>>());
            let (last, others) = points.split_last().unwrap();
            let sizes: Vec<usize> = others.iter().map(Vec::len).collect();
            assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
            assert!(others.is_empty() || last.len() <= sizes[0]);
        }
    }
}
