//! Takes a name that nobody knows and gives the known one that was probably meant.

/// The name most like `name`, if one is like it at all.
pub(super) fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let scored = names.map(|known| (strsim::jaro_winkler(name, &known), known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.85).then_some(best.1)
}
