//! Named places on the way of a request where tests make this process die, or a disk operation fail. Without
//! the cargo feature `faults`, which only this crate's own tests turn on, nothing of it is compiled in.
//!
//! `SPANMILL_FAULTS` holds faults separated by commas: `kill:PLACE:N` ends the process with SIGKILL when it
//! comes to the place for the Nth time; `fail:PLACE:ERRNO:N:COUNT` lets the Nth and the following COUNT - 1
//! passes there fail with that error number.

#[cfg(not(feature = "faults"))]
mod none {
    /// A place where the process may be killed.
    #[inline]
    pub(crate) fn point(_place: &str) {}

    /// A place where a disk operation may fail.
    #[inline]
    pub(crate) fn failure(_place: &str) -> std::io::Result<()> {
        Ok(())
    }
}
#[cfg(not(feature = "faults"))]
pub(crate) use none::{failure, point};

#[cfg(feature = "faults")]
mod armed {
    use std::io;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Fault {
        place: String,
        passes: AtomicU64,
        first: u64,
        kind: Kind,
    }

    enum Kind {
        Kill,
        Fail { errno: i32, count: u64 },
    }

    static FAULTS: LazyLock<Vec<Fault>> = LazyLock::new(|| {
        let faults = std::env::var("SPANMILL_FAULTS").unwrap_or_default();
        let faults = faults.split(',').filter(|fault| !fault.is_empty());
        let parsed =
            faults.map(|fault| parse(fault).unwrap_or_else(|| panic!("no fault: {fault}")));
        parsed.collect()
    });

    fn parse(text: &str) -> Option<Fault> {
        let fields: Vec<_> = text.split(':').collect();
        let (place, first, kind) = match fields[..] {
            ["kill", place, first] => (place, first, Kind::Kill),
            ["fail", place, errno, first, count] => {
                let (errno, count) = (errno.parse().ok()?, count.parse().ok()?);
                (place, first, Kind::Fail { errno, count })
            }
            _ => return None,
        };
        Some(Fault {
            place: place.to_owned(),
            passes: AtomicU64::new(0),
            first: first.parse().ok()?,
            kind,
        })
    }

    /// A place where the process may be killed.
    pub(crate) fn point(place: &str) {
        // A place where only a kill makes sense has no error to give.
        let _ = failure(place);
    }

    /// A place where a disk operation may fail.
    pub(crate) fn failure(place: &str) -> io::Result<()> {
        for fault in FAULTS.iter().filter(|fault| fault.place == place) {
            let pass = fault.passes.fetch_add(1, Ordering::SeqCst) + 1;
            match fault.kind {
                Kind::Kill if pass == fault.first => {
                    eprintln!("fault: killed at {place}");
                    let this = std::process::id().to_string();
                    let killed = std::process::Command::new("kill")
                        .args(["-KILL", &this])
                        .status();
                    unreachable!("this process lives on: {killed:?}");
                }
                Kind::Fail { errno, count }
                    if (fault.first..fault.first + count).contains(&pass) =>
                {
                    eprintln!("fault: {place} fails");
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Kind::Kill | Kind::Fail { .. } => {}
            }
        }
        Ok(())
    }
}
#[cfg(feature = "faults")]
pub(crate) use armed::{failure, point};
