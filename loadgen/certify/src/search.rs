//! The search for the highest sustainable rate: which rate was sustained goes in, the next one to try comes out.
//! Plain arithmetic: it runs nothing.

/// Rates this close to each other are one answer.
const CLOSE: f64 = 1.03;
/// How far above what nobody has seen fail the next try may go.
const BEYOND: f64 = 1.3;

/// See the module. Rates are spans a second.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Search {
    /// The highest rate that was sustained; 0 before one was.
    sustained: f64,
    /// The lowest above it that was not, or the bound that a closed loop showed.
    above: f64,
    /// Whether `above` was tried.
    is_tried: bool,
    /// Where to begin, when there is a guess.
    guess: Option<f64>,
    steps_left: u32,
}

impl Search {
    /// Between what is known already and what a closed loop reached; `guess` is where to begin.
    pub(crate) fn new(
        sustained: f64,
        failed: Option<f64>,
        closed_loop: f64,
        guess: Option<f64>,
        steps: u32,
    ) -> Self {
        let bound = closed_loop.max(sustained * BEYOND);
        let failed = failed.filter(|failed| *failed > sustained);
        Search {
            sustained,
            above: failed.map_or(bound, |failed| failed.min(bound)),
            is_tried: failed.is_some_and(|failed| failed <= bound),
            guess,
            steps_left: steps,
        }
    }

    /// The rate to try next; `None` when the answer is close enough or the steps are used up.
    pub(crate) fn next(&mut self) -> Option<f64> {
        let is_close = self.above <= self.sustained * CLOSE;
        if self.steps_left == 0 || is_close || self.above < 1.0 {
            return None;
        }
        self.steps_left -= 1;
        let middle = f64::midpoint(self.sustained, self.above);
        let guess = self.guess.take();
        let within = guess.filter(|guess| (self.sustained * CLOSE..self.above).contains(guess));
        Some(two_digits(within.unwrap_or(middle)).clamp(self.sustained, self.above))
    }

    /// What became of a try.
    pub(crate) fn record(&mut self, rate: f64, sustained: bool) {
        if !sustained {
            self.above = self.above.min(rate);
            self.is_tried = true;
            return;
        }
        self.sustained = self.sustained.max(rate);
        // A closed loop with few in flight is no bound for an open one.
        if !self.is_tried && rate * CLOSE >= self.above {
            self.above = rate * BEYOND;
        }
    }

    /// The highest rate that was sustained.
    pub(crate) fn highest(&self) -> Option<f64> {
        Some(self.sustained).filter(|rate| *rate > 0.0)
    }
}

/// 123,456 as 123,000: nobody asks for more digits.
fn two_digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(mut search: Search, limit: f64) -> (Vec<f64>, Option<f64>) {
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.record(rate, rate <= limit);
        }
        (tried, search.highest())
    }

    /// Scenario: installations that sustain all below a limit, searched from what earlier phases knew.
    /// Guarantees: the answer was sustained, is within what the steps can tell of the limit, no step is tried
    /// twice, and there are never more than allowed.
    #[test]
    fn the_limit_is_found() {
        for limit in [60_000.0, 100_000.0, 151_000.0, 290_000.0] {
            let known = if limit >= 100_000.0 {
                100_000.0
            } else {
                50_000.0
            };
            let failed = (limit < 100_000.0).then_some(100_000.0);
            let (tried, highest) = searched(Search::new(known, failed, 300_000.0, None, 6), limit);
            let highest = highest.unwrap();
            assert!(
                highest <= limit && highest >= limit * 0.93,
                "{limit}: {tried:?}"
            );
            assert!(tried.len() <= 6, "{tried:?}");
            let mut sorted = tried.clone();
            sorted.sort_by(f64::total_cmp);
            sorted.dedup();
            assert_eq!(sorted.len(), tried.len(), "{tried:?}");
        }
    }

    /// Scenario: a closed loop that reached less than the open one sustained. Guarantees: the search goes on
    /// above, and further above while nothing fails.
    #[test]
    fn a_low_probe_is_no_bound() {
        let (tried, highest) = searched(Search::new(100_000.0, None, 90_000.0, None, 8), 190_000.0);
        assert!(tried[0] > 100_000.0, "{tried:?}");
        assert!(highest.unwrap() > 150_000.0, "{tried:?}");
    }

    /// Scenario: nothing is sustained; a guess; no steps; a closed loop in which nothing was acknowledged.
    /// Guarantees: no answer is made up, the guess is tried first, and no step is no answer.
    #[test]
    fn nothing_is_made_up() {
        let (tried, highest) = searched(Search::new(0.0, Some(1000.0), 5000.0, None, 5), 1.0);
        assert_eq!(highest, None);
        assert_eq!(tried[0], 500.0);
        let mut guessed = Search::new(100.0, None, 1000.0, Some(300.0), 5);
        assert_eq!(guessed.next(), Some(300.0));
        assert_eq!(guessed.next(), Some(550.0));
        assert_eq!(
            searched(Search::new(100.0, None, 1000.0, None, 0), 500.0).1,
            Some(100.0)
        );
        assert_eq!(
            searched(Search::new(0.0, None, 0.0, None, 5), 500.0),
            (vec![], None)
        );
    }
}
