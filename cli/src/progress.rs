//! Takes reports of how far the fetch of ClickHouse is, and writes them to stderr: one line that
//! is renewed on a terminal, a line per quarter elsewhere. It keeps quiet if nothing is fetched.

use std::io::{IsTerminal, Write};

use spanmill_embedded::Progress;

/// Shows one fetch from its first report to its end.
#[derive(Debug)]
pub(crate) struct Meter<W: Write> {
    out: W,
    renew: bool,
    last: String,
}

impl Meter<std::io::Stderr> {
    pub(crate) fn on_stderr() -> Self {
        let out = std::io::stderr();
        Self {
            renew: out.is_terminal(),
            out,
            last: String::new(),
        }
    }
}

impl<W: Write> Meter<W> {
    /// Shows `progress` unless it reads like the last one.
    pub(crate) fn show(&mut self, progress: Progress) {
        let line = words(progress, if self.renew { 1 } else { 25 });
        if line == self.last {
            return;
        }
        // A closed stderr is no reason to stop fetching.
        let _ = match self.renew {
            // Back to the start of the line, and clear it.
            true => write!(self.out, "\r\x1b[2K{line}"),
            false => writeln!(self.out, "{line}"),
        };
        let _ = self.out.flush();
        self.last = line;
    }

    /// Leaves the renewed line, so that what follows stands below it.
    pub(crate) fn end(mut self) {
        if self.renew && !self.last.is_empty() {
            let _ = writeln!(self.out);
        }
    }
}

/// The state in words, with the percentage rounded down to a multiple of `step`.
fn words(progress: Progress, step: u64) -> String {
    let (what, done, total) = match progress {
        Progress::Waiting => {
            return "ClickHouse: another process fetches it, waiting".to_owned();
        }
        Progress::Downloading(done, total) => ("downloading, once", done, total),
        Progress::Checking(done, total) => ("checking", done, total),
        Progress::Unpacking(done, total) => ("unpacking", done, total),
    };
    let percent = (done.min(total) * 100).checked_div(total).unwrap_or(0) / step * step;
    format!(
        "ClickHouse: {what}, {percent} % of {} MB",
        total / 1_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(renew: bool, reports: &[Progress]) -> String {
        let mut out = Vec::new();
        let mut meter = Meter {
            out: &mut out,
            renew,
            last: String::new(),
        };
        reports.iter().for_each(|report| meter.show(*report));
        meter.end();
        String::from_utf8(out).expect("UTF-8")
    }

    const MB: u64 = 1_000_000;

    /// Scenario: stderr is a file or a pipe and a hundred reports come. Guarantees: one plain line
    /// per quarter, no control characters.
    #[test]
    fn plain_lines_where_nobody_watches() {
        let reports: Vec<_> = (0..=100)
            .map(|n| Progress::Downloading(n * MB, 100 * MB))
            .collect();
        let text = shown(false, &reports);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(
            text.ends_with("ClickHouse: downloading, once, 100 % of 100 MB\n"),
            "{text}"
        );
        assert!(!text.contains(['\r', '\x1b']));
    }

    /// Scenario: stderr is a terminal. Guarantees: all stays on one line, which is left at the end.
    #[test]
    fn one_line_on_a_terminal() {
        let text = shown(
            true,
            &[Progress::Downloading(1, 2), Progress::Unpacking(2, 2)],
        );
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.ends_with("unpacking, 100 % of 0 MB\n"), "{text:?}");
    }

    /// Scenario: nothing had to be fetched. Guarantees: nothing is written.
    #[test]
    fn quiet_without_a_fetch() {
        assert_eq!(shown(true, &[]), "");
    }
}
