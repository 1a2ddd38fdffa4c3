//! Whether the io_uring reactor can run: kernel, permission, locked memory. Without it the engine runs on epoll
//! by itself, so nothing here is ever a problem.

use bytesize::ByteSize;

use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::needs::{KERNEL_MIN, MEMLOCK_PER_SHARD};
use crate::root::{Root, Unread};

const DISABLED: &str = "proc/sys/kernel/io_uring_disabled";
const EPOLL: &str =
    "the engine runs on epoll instead (reactor = auto), or refuses to start with reactor = uring";

pub(super) fn kernel(host: &Host<'_>) -> Result<Judgement, Unread> {
    let path = "proc/sys/kernel/osrelease";
    let release = host.root.text(path)?;
    let release = release.trim();
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    let Some(version) = number().zip(number()) else {
        return Err(Unread::garbled(path, release, "a version of Linux"));
    };
    let (major, minor) = KERNEL_MIN;
    if version >= KERNEL_MIN {
        let seen = format!("Linux {release}; the io_uring reactor needs {major}.{minor}");
        return Ok(Judgement::ok(seen));
    }
    let change = Change::new(
        format!("run Linux {major}.{minor} or newer"),
        "apt-get install --only-upgrade linux-image-amd64 && reboot   # or your distribution's kernel package",
        format!(
            "the io_uring reactor sets up its rings with what Linux has since {major}.{minor}; {EPOLL}"
        ),
    );
    Ok(Judgement::advice(format!("Linux {release}"), change))
}

pub(super) fn io_uring(host: &Host<'_>) -> Result<Judgement, Unread> {
    let Err(errno) = host.probed.io_uring else {
        return Ok(Judgement::ok("a ring could be set up"));
    };
    let setting = host.root.number(DISABLED).unwrap_or(0);
    let forbidden = matches!(errno, libc::ENOSYS | libc::EPERM | libc::EACCES);
    if forbidden && setting > 0 {
        let change = Change::new(
            "allow io_uring, if your security rules do",
            "sysctl -w kernel.io_uring_disabled=0   # or 1 with the engine's group in kernel.io_uring_group",
            EPOLL,
        );
        let seen = format!("forbidden: kernel.io_uring_disabled is {setting}");
        return Ok(Judgement::advice(seen, change));
    }
    if forbidden && host.filtered_by_seccomp()? {
        let change = Change::new(
            "run the container with a seccomp profile that allows io_uring_setup, io_uring_enter and \
             io_uring_register, if your security rules do",
            "podman run --security-opt seccomp=PROFILE.json …   # docker takes the same flag",
            EPOLL,
        );
        return Ok(Judgement::advice("forbidden by a seccomp profile", change));
    }
    match errno {
        libc::ENOSYS => Ok(Judgement::advice(
            "this kernel has no io_uring",
            Change::new(
                "run a kernel with CONFIG_IO_URING",
                "zgrep CONFIG_IO_URING /proc/config.gz /boot/config-$(uname -r)   # says whether yours has it",
                EPOLL,
            ),
        )),
        libc::EPERM | libc::EACCES => Ok(Judgement::advice(
            "forbidden, and neither by kernel.io_uring_disabled nor by seccomp: by a security module",
            Change::new(
                "allow io_uring in the policy of SELinux or AppArmor",
                "ausearch -m avc -ts recent   # says which rule forbids it; journalctl -k for AppArmor",
                EPOLL,
            ),
        )),
        _ => {
            let error = std::io::Error::from_raw_os_error(errno);
            Ok(Judgement::unknown(format!(
                "io_uring_setup failed: {error}"
            )))
        }
    }
}

pub(super) fn seccomp(host: &Host<'_>) -> Result<Judgement, Unread> {
    let status = |key| host.root.field("proc/self/status", key);
    let mode = status("Seccomp")?;
    let alone = match status("NoNewPrivs")?.as_str() {
        "1" => "no new privileges",
        _ => "new privileges allowed",
    };
    match mode.as_str() {
        "0" => Ok(Judgement::ok(format!("no filter, {alone}"))),
        "2" => {
            let filters = status("Seccomp_filters").unwrap_or_else(|_| "some".to_owned());
            let ring = match host.probed.io_uring {
                Ok(()) => "which let io_uring pass",
                Err(_) => "and io_uring fails, see there",
            };
            Ok(Judgement::ok(format!("{filters} filters, {ring}; {alone}")))
        }
        _ => Err(Unread::garbled(
            "proc/self/status",
            &mode,
            "Seccomp: 0 or 2",
        )),
    }
}

pub(super) fn memlock(host: &Host<'_>) -> Result<Judgement, Unread> {
    let (soft, hard) = limit(host.root, "Max locked memory")?;
    let shards = host.shards as u64;
    let needed = MEMLOCK_PER_SHARD * shards;
    let seen = format!(
        "{}; {} can need {}",
        size(soft),
        host.shards_in_words(),
        ByteSize(needed).display().iec_short()
    );
    if soft >= needed {
        return Ok(Judgement::ok(seen));
    }
    let command = format!(
        "tuning/tune limits {shards} | install -D -m 644 /dev/stdin /etc/systemd/system/spanmill.service.d/limits.conf   # in a shell: ulimit -l {}{}",
        needed >> 10,
        if hard < needed { ", as root" } else { "" }
    );
    let change = Change::new(
        format!(
            "allow {} of locked memory",
            ByteSize(needed).display().iec_short()
        ),
        command,
        format!("each shard's rings and registered buffers count towards it; {EPOLL}"),
    );
    Ok(Judgement::advice(seen, change))
}

fn size(bytes: u64) -> String {
    match bytes {
        u64::MAX => "unlimited".to_owned(),
        _ => ByteSize(bytes).display().iec_short().to_string(),
    }
}

/// The soft and the hard limit of this process, in the limit's unit; the largest number for "unlimited".
pub(super) fn limit(root: &Root, name: &'static str) -> Result<(u64, u64), Unread> {
    let path = "proc/self/limits";
    let text = root.text(path)?;
    let mut lines = text.lines();
    let values = lines.find_map(|line| line.strip_prefix(name));
    let mut values = values.unwrap_or_default().split_whitespace();
    let mut value = || match values.next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    let found = value().zip(value());
    found.ok_or_else(|| Unread::garbled(path, &text, name))
}
