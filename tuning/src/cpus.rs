//! Lists of CPUs in the kernel's writing, such as `0-3,8`: read and written. It asks the kernel nothing.

use crate::root::{Root, Unread};

/// More CPUs than any Linux is built for: a longer list is no list.
const CPUS_MAX: usize = 1 << 14;

/// The CPUs of a list; `None` if it is none.
pub(crate) fn parse(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    let parts = list.trim().split(',').filter(|part| !part.is_empty());
    for part in parts {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// The list of these CPUs, which are in order.
pub(crate) fn list(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let words = runs.iter().map(|&(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(",")
}

/// The mask of these CPUs as `rps_cpus` takes it: groups of 32 bits, the highest first.
pub(crate) fn mask(cpus: &[usize]) -> String {
    let groups = cpus.iter().max().map_or(1, |last| last / 32 + 1);
    let mut words = vec![0u32; groups];
    for &cpu in cpus {
        words[cpu / 32] |= 1 << (cpu % 32);
    }
    let words = words.iter().rev().map(|word| format!("{word:08x}"));
    words.collect::<Vec<_>>().join(",")
}

/// The list in a file.
pub(crate) fn read(root: &Root, path: &str) -> Result<Vec<usize>, Unread> {
    let text = root.text(path)?;
    parse(&text).ok_or_else(|| Unread::garbled(path, &text, "a list of CPUs"))
}

/// The list in a file that not every kernel has; empty where it is missing. Where nothing was configured some
/// kernels write `(null)`.
pub(crate) fn read_if_there(root: &Root, path: &str) -> Result<Vec<usize>, Unread> {
    match root.text_if_there(path)? {
        Some(text) if !text.trim().is_empty() && text.trim() != "(null)" => {
            parse(&text).ok_or_else(|| Unread::garbled(path, &text, "a list of CPUs"))
        }
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: lists as kernels write them, and texts that are none.
    /// Guarantee: a list is read and written back as it was; garbage is no list and takes no memory.
    #[test]
    fn lists_are_read_and_written() {
        for text in ["0", "0-3", "0-3,8", "1,3,5-6"] {
            assert_eq!(list(&parse(text).unwrap()), text);
        }
        assert_eq!(parse("\n"), Some(vec![]));
        for text in ["x", "3-1", "0-99999999999", "1-", "-1", "0-3;8", "0-16384"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    /// Scenario: CPUs within and beyond the first 32.
    /// Guarantee: the mask is in the kernel's groups.
    #[test]
    fn masks_are_in_groups() {
        assert_eq!(mask(&[0, 1]), "00000003");
        assert_eq!(mask(&[0, 32, 33]), "00000003,00000001");
    }
}
