//! Finds the network interface of the default route, its queues and its interrupts. It judges none of them.

use crate::cpus;
use crate::root::{Root, Unread};

/// An interrupt of a queue and the CPUs that it may come to.
#[derive(Debug)]
pub(crate) struct Interrupt {
    pub(crate) number: u32,
    pub(crate) cpus: Vec<usize>,
}

/// The interface of the default route, IPv4's before IPv6's; none where there is no such route.
pub(crate) fn default_interface(root: &Root) -> Result<Option<String>, Unread> {
    const ANY_V4: &str = "00000000";
    let v4 = root.text_if_there("proc/net/route")?.unwrap_or_default();
    let v4 = v4.lines().filter_map(|line| {
        // Iface Destination Gateway Flags RefCnt Use Metric Mask ...
        let words: Vec<_> = line.split_whitespace().collect();
        let any = *words.get(1)? == ANY_V4 && *words.get(7)? == ANY_V4;
        let metric: u32 = words.get(6)?.parse().ok()?;
        any.then(|| (metric, words[0].to_owned()))
    });
    if let Some((_, name)) = v4.min() {
        return Ok(Some(name));
    }
    let v6 = root
        .text_if_there("proc/net/ipv6_route")?
        .unwrap_or_default();
    let v6 = v6.lines().filter_map(|line| {
        // Destination, its length, source, its length, next hop, metric, ..., name. Unreachable routes are lo's.
        let words: Vec<_> = line.split_whitespace().collect();
        let any = words.first()?.bytes().all(|digit| digit == b'0') && *words.get(1)? == "00";
        let metric = u32::from_str_radix(words.get(5)?, 16).ok()?;
        let name = *words.get(9)?;
        (any && name != "lo").then(|| (metric, name.to_owned()))
    });
    Ok(v6.min().map(|(_, name)| name))
}

/// Names of the receive queues.
pub(crate) fn receive_queues(root: &Root, interface: &str) -> Vec<String> {
    let mut names = root.names(&format!("sys/class/net/{interface}/queues"));
    names.retain(|name| name.starts_with("rx-"));
    names
}

/// The interrupts of an interface's queues. Those of a PCI device are listed with it; those of virtio carry its
/// name; drivers of other kinds name theirs after the interface.
pub(crate) fn interrupts(root: &Root, interface: &str) -> Result<Vec<Interrupt>, Unread> {
    let device = format!("sys/class/net/{interface}/device");
    let listed = root.names(&format!("{device}/msi_irqs"));
    let device_name = root.link_name(&device);
    let table = root.text("proc/interrupts")?;
    let mut found = Vec::new();
    for line in table.lines() {
        let Some((number, rest)) = line.trim_start().split_once(':') else {
            continue;
        };
        let Ok(irq) = number.parse::<u32>() else {
            continue;
        };
        let name = rest.split_whitespace().last().unwrap_or_default();
        let of_device = device_name.as_deref().is_some_and(|device| {
            let queue = name.strip_prefix(device).unwrap_or_default();
            queue.starts_with("-input") || queue.starts_with("-output")
        });
        let of_interface = name == interface
            || name
                .strip_prefix(interface)
                .is_some_and(|rest| rest.starts_with(['-', ':', '_']));
        let of_pci = listed.iter().any(|listed| listed == number) && !is_management(name);
        if of_device || of_interface || of_pci {
            found.push(Interrupt {
                number: irq,
                cpus: target(root, irq)?,
            });
        }
    }
    Ok(found)
}

/// Vectors of a network card that bring no packets.
fn is_management(name: &str) -> bool {
    let words = [
        "async", "config", "ctrl", "event", "fdir", "mgmnt", "mgmt", "misc", "pages", "cmd",
    ];
    words.iter().any(|word| name.contains(word))
}

/// Where an interrupt goes: of the CPUs that it may go to, the kernel picks some.
fn target(root: &Root, irq: u32) -> Result<Vec<usize>, Unread> {
    let effective = cpus::read_if_there(root, &format!("proc/irq/{irq}/effective_affinity_list"))?;
    match effective.is_empty() {
        false => Ok(effective),
        true => cpus::read(root, &format!("proc/irq/{irq}/smp_affinity_list")),
    }
}
