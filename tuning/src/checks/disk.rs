//! Whether the log's folder keeps what is synced to it, has room, and is quick about it.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use crate::finding::{Change, Judgement};
use crate::host::Host;
use crate::needs::{ACK_P99_MS, COMMIT_INTERVAL_MS, WAL_BYTES, WAL_BYTES_MIN};
use crate::root::{Root, Unread};

const MOVE: &str = "spanmill --wal-dir FOLDER   # on ext4 or XFS, a disk of its own is best";

/// A mounted file system.
struct Mount {
    point: String,
    kind: String,
    /// Options of the mount and of its file system.
    options: Vec<String>,
}

pub(super) fn file_system(host: &Host<'_>) -> Result<Judgement, Unread> {
    let Mount { point, kind, .. } = mount(host.root, &host.probed.disk.folder)?;
    let seen = format!("{kind}, mounted on {point}");
    let change = |why: &str| Change::new("keep the log on a local disk", MOVE, why);
    Ok(match kind.as_str() {
        "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs" | "bcachefs" => Judgement::ok(seen),
        "tmpfs" | "ramfs" => Judgement::problem(
            seen,
            change(
                "what is acknowledged is in memory only and gone after a restart of the machine",
            ),
        ),
        "overlay" | "overlayfs" | "aufs" => Judgement::advice(
            seen,
            change(
                "it is a container's own layer: the log goes with the container; mount a volume",
            ),
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "ceph" | "9p" | "virtiofs" => Judgement::advice(
            seen,
            change(
                "each sync is a round trip to a server, and what it keeps of it is up to that server",
            ),
        ),
        fuse if fuse.starts_with("fuse") => Judgement::advice(
            seen,
            change("each sync passes through another process, and what it keeps is up to that"),
        ),
        _ => Judgement::unknown(format!("{seen}: nothing is known of it here")),
    })
}

pub(super) fn mount_options(host: &Host<'_>) -> Result<Judgement, Unread> {
    let Mount { point, options, .. } = mount(host.root, &host.probed.disk.folder)?;
    let seen = options.join(",");
    let remount = |option: &str| {
        format!("mount -o remount,{option} '{point}'   # and the same in /etc/fstab")
    };
    let has = |wanted: &[&str]| {
        options
            .iter()
            .any(|option| wanted.contains(&option.as_str()))
    };
    if has(&["ro"]) {
        let change = Change::new(
            "mount it for writing",
            remount("rw"),
            "the log cannot be written",
        );
        return Ok(Judgement::problem(seen, change));
    }
    if has(&["nobarrier", "barrier=0"]) {
        let change = Change::new(
            "mount it with barriers",
            remount("barrier"),
            "a sync does not empty the disk's own cache, so a loss of power takes acknowledged rows",
        );
        return Ok(Judgement::problem(seen, change));
    }
    if has(&["data=journal"]) {
        let change = Change::new(
            "mount it with data=ordered",
            format!(
                "sed -i s/data=journal/data=ordered/ /etc/fstab && umount '{point}' && mount '{point}'   # with the engine stopped"
            ),
            "all that the log writes is written twice",
        );
        return Ok(Judgement::advice(seen, change));
    }
    if has(&["sync"]) {
        let change = Change::new(
            "mount it without sync",
            remount("async"),
            "each write is waited for, and the log syncs by itself, many at a time",
        );
        return Ok(Judgement::advice(seen, change));
    }
    Ok(Judgement::ok(seen))
}

pub(super) fn space(host: &Host<'_>) -> Result<Judgement, Unread> {
    let disk = &host.probed.disk;
    let free = match &disk.free {
        Ok(free) => *free,
        Err(reason) => {
            return Ok(Judgement::unknown(format!(
                "{}: {reason}",
                disk.folder.display()
            )));
        }
    };
    let size = |bytes: u64| ByteSize(bytes).display().iec_short();
    let seen = format!(
        "{} free; the log may take {} by default",
        size(free),
        size(WAL_BYTES)
    );
    if free >= WAL_BYTES {
        return Ok(Judgement::ok(seen));
    }
    let change = Change::new(
        "make room, or bound the log by what there is",
        format!(
            "spanmill --wal-bytes-max {}MiB",
            (free / 10 * 9).max(WAL_BYTES_MIN) >> 20
        ),
        "the log grows while ClickHouse is away; when the disk is full before the log is, exports are refused \
         and other programs on it fail too",
    );
    Ok(match free < WAL_BYTES_MIN {
        true => Judgement::problem(seen, change),
        false => Judgement::advice(seen, change),
    })
}

pub(super) fn sync(host: &Host<'_>) -> Result<Judgement, Unread> {
    let disk = &host.probed.disk;
    let folder = disk.folder.display();
    let syncs = match &disk.syncs {
        Ok(syncs) => syncs,
        Err(reason) => {
            let change = Change::new(
                "give the engine's user a folder that it may write to",
                format!("install -d -o USER '{}'", host.wal_dir.display()),
                "with ack = log (the default) the engine does not start without its log",
            );
            let seen = format!("nothing can be written to {folder}: {reason}");
            return Ok(Judgement::problem(seen, change));
        }
    };
    let seen = format!(
        "64 KiB and fdatasync in {folder}: p50 {:.2} ms, p99 {:.2} ms of {}",
        syncs.p50_ms, syncs.p99_ms, syncs.count
    );
    if syncs.p50_ms <= COMMIT_INTERVAL_MS && syncs.p99_ms <= ACK_P99_MS {
        return Ok(Judgement::ok(seen));
    }
    let change = Change::new(
        "put the log on a faster disk, or one that others leave alone",
        "spanmill --wal-dir FOLDER   # an SSD with power-loss protection syncs in well under 1 ms",
        format!(
            "an export is acknowledged after a sync; commits come {COMMIT_INTERVAL_MS} ms apart, and slower syncs \
             set the pace instead"
        ),
    );
    Ok(Judgement::advice(seen, change))
}

/// The mount that a folder is on: of those around it the innermost, and of several there the last.
fn mount(root: &Root, folder: &Path) -> Result<Mount, Unread> {
    let path = "proc/self/mountinfo";
    let text = root.text(path)?;
    let mounts = text.lines().filter_map(parse);
    let around = mounts.filter(|mount| folder.starts_with(&mount.point));
    let innermost = around.max_by_key(|mount| PathBuf::from(&mount.point).components().count());
    innermost.ok_or_else(|| Unread::garbled(path, &text, "a mount of the folder"))
}

/// `28 1 8:1 / /mnt/data rw,relatime shared:1 - ext4 /dev/sda1 rw,discard`
fn parse(line: &str) -> Option<Mount> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(4);
    let (point, of_mount) = (mount.next()?, mount.next()?);
    let mut system = system.split(' ');
    let (kind, of_system) = (system.next()?, system.nth(1)?);
    let mut options: Vec<_> = of_mount
        .split(',')
        .chain(of_system.split(','))
        .map(str::to_owned)
        .collect();
    options.sort();
    options.dedup();
    // A mount for reading only is so whatever its file system allows, and the other way round.
    if options.iter().any(|option| option == "ro") {
        options.retain(|option| option != "rw");
    }
    // The kernel writes spaces and the like in octal.
    let point = point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\");
    Some(Mount {
        point,
        kind: kind.to_owned(),
        options,
    })
}
