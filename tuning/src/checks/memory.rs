//! Whether the engine gets the memory that it plans with, and of the kind that suits it.

use bytesize::ByteSize;

use spanmill_engine::MemoryPlan;

use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::needs::{self, REQUEST_BYTES_MIN, REQUEST_BYTES_USUAL};
use crate::root::Unread;

const HUGE_PAGES: &str = "sys/kernel/mm/transparent_hugepage/enabled";

pub(super) fn memory(host: &Host<'_>) -> Result<Judgement, Unread> {
    let usable = host.usable_memory()?;
    let taken = host.memory_max();
    let shards = host.shards;
    let request = needs::plan(taken, shards).request_bytes_max();
    let size = |bytes: u64| ByteSize(bytes).display().iec_short();
    let seen = format!(
        "{} usable, of which the engine takes at most {} by default: {} can then take requests up to {}",
        size(usable),
        size(taken),
        host.shards_in_words(),
        size(request.min(64 << 20) as u64)
    );
    let least = MemoryPlan::least_memory(REQUEST_BYTES_USUAL, shards);
    let raise = Change::new(
        "give the engine more memory, or fewer shards",
        format!(
            "spanmill --memory-max {}MiB   # in a container raise its limit as well",
            least >> 20
        ),
        "each shard sets memory aside for itself, and requests get what is left",
    );
    if usable < needs::memory_min() {
        let change = Change::new(
            format!(
                "give the machine or container {} at least",
                size(needs::memory_min())
            ),
            "systemctl set-property spanmill.service MemoryMax=1G   # docker: --memory 1g",
            format!(
                "the engine plans with {} however little there is, and is killed when it takes more than there is",
                size(needs::memory_min())
            ),
        );
        return Ok(Judgement::problem(seen, change));
    }
    Ok(match request {
        0..REQUEST_BYTES_MIN => Judgement::problem(seen + ", with which it does not start", raise),
        REQUEST_BYTES_MIN..REQUEST_BYTES_USUAL => Judgement::advice(seen, raise),
        _ => Judgement::ok(seen),
    })
}

pub(super) fn overcommit(host: &Host<'_>) -> Result<Judgement, Unread> {
    let path = "proc/sys/vm/overcommit_memory";
    match host.root.number(path)? {
        mode @ (0 | 1) => Ok(Judgement::ok(format!("vm.overcommit_memory is {mode}"))),
        2 => {
            let change = Change::new(
                "let programs reserve more than there is",
                "sysctl -w vm.overcommit_memory=0",
                "ClickHouse and the engine's allocator reserve address space that they never use, and with 2 \
                 they are refused it while memory is free",
            );
            Ok(Judgement::advice("vm.overcommit_memory is 2", change))
        }
        other => Err(Unread::garbled(path, &other.to_string(), "0, 1 or 2")),
    }
}

pub(super) fn huge_pages(host: &Host<'_>) -> Result<Judgement, Unread> {
    let text = host.root.text(HUGE_PAGES)?;
    let mode = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match mode {
        Some(mode @ ("madvise" | "never")) => Ok(Judgement::ok(mode)),
        Some("always") => {
            let change = Change::new(
                "give huge pages to those that ask for them",
                format!("echo madvise > /{HUGE_PAGES}"),
                "with always the kernel clears 2 MiB pages for memory that is used in smaller pieces (a third more system \
                 time was measured), and a ClickHouse server warns of it at its start",
            );
            Ok(Judgement::advice("always", change))
        }
        _ => Err(Unread::garbled(HUGE_PAGES, &text, "a mode in brackets")),
    }
}

pub(super) fn swap(host: &Host<'_>) -> Result<Judgement, Unread> {
    let table = host.root.text("proc/swaps")?;
    let areas = table
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .count();
    let swappiness = host.root.number("proc/sys/vm/swappiness")?;
    let seen = format!("{areas} swap areas, vm.swappiness {swappiness}");
    if areas == 0 || swappiness <= 10 {
        return Ok(Judgement::ok(seen));
    }
    let change = Change::new(
        "swap only before memory runs out",
        "sysctl -w vm.swappiness=1",
        "the log goes through the page cache, and to keep more of it the kernel would swap out what shards and \
         ClickHouse need next; a shard that waits for it serves nobody",
    );
    Ok(Judgement::advice(seen, change))
}
