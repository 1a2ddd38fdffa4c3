//! Judges what was measured: figures and bounds go in, one verdict for each target comes out. Plain comparisons; it
//! measures nothing.

use crate::drift::Drift;
use crate::phase::Phase;
use crate::report::Measured;
use crate::sizes::Sizes;
use crate::verdict::Verdict;
use crate::verify::Stored;
use crate::words::{bytes, count, ms};

/// A verdict for each target, in the order in which they are shown.
pub(crate) fn verdicts(measured: &Measured<'_>) -> Vec<Verdict> {
    let mut all = vec![
        once(measured.stored),
        rate(measured),
        cpu(measured),
        memory(measured),
        queries(measured),
        disk(measured),
    ];
    all.extend(
        measured
            .targets
            .ack_p99
            .map(|bound| ack(measured, bound.as_secs_f64() * 1e3)),
    );
    if measured.must_not_drift {
        all.push(steady(measured.drift));
    }
    all
}

fn once(stored: Result<&[Stored], &str>) -> Verdict {
    let bound = "0 lost, 0 too many".into();
    let verdict = Verdict::new("exactly_once", "Stored exactly once", "spans", 0.0, bound);
    let stored = match stored {
        Ok([]) => return verdict.unmeasured("Nothing was sent."),
        Ok(stored) => stored,
        Err(why) => return verdict.unmeasured(format!("It could not be counted: {why}")),
    };
    let sum = |of: fn(&Stored) -> u64| stored.iter().map(of).sum::<u64>();
    let (acknowledged, rows) = (sum(|s| s.acknowledged), sum(|s| s.rows));
    let (lost, surplus, uncertain) = (
        sum(Stored::lost),
        sum(Stored::surplus),
        sum(|s| s.uncertain),
    );
    let ids = match stored.iter().all(|stored| stored.distinct.is_some()) {
        true => "each id once",
        false => "by their number alone, because compressed requests repeat their ids",
    };
    let mut sentence = format!(
        "{} spans were acknowledged and {} rows found in ClickHouse, counted {ids}.",
        count(acknowledged as f64),
        count(rows as f64)
    );
    if uncertain > 0 {
        sentence += &format!(
            " {} more were refused or not answered; each of those may be stored once.",
            count(uncertain as f64)
        );
    }
    let value = (lost + surplus) as f64;
    let words = format!(
        "{} lost, {} too many",
        count(lost as f64),
        count(surplus as f64)
    );
    verdict.judged(value == 0.0, value, words, sentence)
}

fn rate(measured: &Measured<'_>) -> Verdict {
    let bound = measured.targets.rate;
    let words = format!("≥ {} spans/s, no loss", count(bound));
    let verdict = Verdict::new("rate", "Sustained rate", "spans/s", bound, words);
    let Some(hold) = measured.hold else {
        return verdict.unmeasured("The target rate was not held.");
    };
    let rate = hold.acknowledged_per_second;
    // A request more or less at the end is no difference.
    let is_met = hold.is_sustained() && rate >= bound * 0.999;
    let how = format!("held for {:.0} s", hold.sending_seconds);
    let sentence = match hold.not_sustained.as_slice() {
        [] if is_met => format!("It was {how}; nothing was refused, and ClickHouse kept up."),
        [] => format!("It was {how}, but fewer spans came."),
        reasons => format!("It was {how}, but not sustained: {}.", reasons.join("; ")),
    };
    let not = if is_met { "" } else { ", not sustained" };
    verdict.judged(
        is_met,
        rate,
        format!("{} spans/s{not}", count(rate)),
        sentence,
    )
}

fn cpu(measured: &Measured<'_>) -> Verdict {
    let bound = measured.targets.cpu_share;
    let verdict = Verdict::new(
        "engine_cpu",
        "Engine CPU",
        "%",
        bound,
        format!(
            "< {bound} % of its CPUs at {} spans/s",
            count(measured.targets.cpu_rate)
        ),
    );
    let Some(phase) = measured.cpu else {
        return verdict.unmeasured("The rate for it was not held.");
    };
    let Some(percent) = phase.engine_cpu_percent else {
        return verdict.unmeasured(
            "The engine did not say how much CPU time it took, or was restarted meanwhile: it has to export process_cpu_seconds_total, spanmill_shards and spanmill_cpus.",
        );
    };
    // What is not sustained costs less than it should.
    let kept = phase.total.acknowledged as f64 >= phase.total.due as f64 * 0.999;
    let million = phase.per_million(phase.engine_cpu_seconds).unwrap_or(0.0);
    let cpus = measured
        .engine_cpus
        .map_or_else(String::new, |cpus| format!(", of {cpus} CPUs"));
    let sentence = match kept {
        true => format!(
            "All of its threads over {:.0} s and until ClickHouse had caught up{cpus}: {million:.2} CPU s for a million spans.",
            phase.sending_seconds
        ),
        false => format!(
            "The rate itself was not kept: {}.",
            phase.not_sustained.join("; ")
        ),
    };
    verdict.judged(
        kept && percent < bound,
        percent,
        format!("{percent:.1} %"),
        sentence,
    )
}

fn memory(measured: &Measured<'_>) -> Verdict {
    let bound = measured.targets.rss.as_u64() as f64;
    let verdict = Verdict::new(
        "engine_rss",
        "Engine memory",
        "bytes",
        bound,
        format!("< {}", bytes(bound)),
    );
    match measured.rss_max {
        Some(rss) => {
            let sentence = "The most that was resident in any second of the whole run, the search beyond its limit among it.";
            verdict.judged(rss < bound, rss, bytes(rss), sentence.into())
        }
        None => verdict.unmeasured("The engine does not export process_resident_memory_bytes."),
    }
}

fn queries(measured: &Measured<'_>) -> Verdict {
    let bound = measured.targets.query_p95.as_secs_f64() * 1e3;
    let verdict = Verdict::new(
        "query_p95",
        "Queries during ingest, p95",
        "ms",
        bound,
        format!("< {}", ms(bound)),
    );
    match measured.queries {
        Some(all) if all.asked > 0 => {
            let mut sentence = format!(
                "{} queries of 8 kinds beside the target rate, each counted from when it was due.",
                all.asked
            );
            if all.failed > 0 {
                sentence += &format!(" {} of them failed and count as 10 s.", all.failed);
            }
            verdict.judged(all.p95_ms < bound, all.p95_ms, ms(all.p95_ms), sentence)
        }
        _ => verdict
            .unmeasured("No query was asked: nothing was stored, or the target rate was not held."),
    }
}

fn disk(measured: &Measured<'_>) -> Verdict {
    let bound = measured.targets.bytes_per_span;
    let verdict = Verdict::new(
        "bytes_per_span",
        "Disk",
        "bytes/span",
        bound,
        format!("< {} bytes a span", count(bound)),
    );
    match measured.sizes.map(|sizes| (sizes, sizes.bytes_per_span)) {
        Ok((Sizes { basis, .. }, Some(per_span))) => verdict.judged(
            per_span < bound,
            per_span,
            format!("{per_span:.1} bytes a span"),
            basis.clone(),
        ),
        Ok(_) => verdict.unmeasured("No spans are stored."),
        Err(why) => verdict.unmeasured(format!("It could not be asked: {why}")),
    }
}

fn ack(measured: &Measured<'_>, bound: f64) -> Verdict {
    let verdict = Verdict::new(
        "ack_p99",
        "Acknowledgement, p99",
        "ms",
        bound,
        format!("< {}", ms(bound)),
    );
    match measured.hold {
        Some(Phase { ack_ms, .. }) if ack_ms.count > 0 => verdict.judged(
            ack_ms.p99 < bound,
            ack_ms.p99,
            ms(ack_ms.p99),
            "At the target rate, from when a request was due until it was acknowledged.".into(),
        ),
        _ => verdict.unmeasured("Nothing was acknowledged at the target rate."),
    }
}

fn steady(drift: &[Drift]) -> Verdict {
    let verdict = Verdict::new(
        "no_drift",
        "No drift",
        "figures",
        0.0,
        "the last hour as the first".into(),
    );
    if drift.is_empty() {
        return verdict.unmeasured(
            "The target rate was held for less than ten minutes, in which noise looks like drift.",
        );
    }
    let gone: Vec<_> = drift.iter().filter(|drift| !drift.is_within()).collect();
    let words = |drift: &Drift| {
        let Drift {
            what,
            unit,
            first,
            last,
            ..
        } = drift;
        format!("{what} {first:.0} → {last:.0} {unit}")
    };
    let shown: Vec<_> = drift.iter().map(words).collect();
    let measured = match gone.len() {
        0 => "none".to_owned(),
        gone => format!("{gone} of {}", drift.len()),
    };
    verdict.judged(
        gone.is_empty(),
        gone.len() as f64,
        measured,
        shown.join("; ") + ".",
    )
}

#[cfg(test)]
mod tests;
