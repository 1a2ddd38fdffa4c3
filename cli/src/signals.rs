//! Takes the process's signals and hands them out as events on a channel: stop, or a child has
//! ended. The second request to stop ends the process at once.

use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code after a second signal: what shells report for a process that SIGINT ended.
const CUT_SHORT: i32 = 130;

/// Something the main thread has to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// SIGINT or SIGTERM, the first of them.
    Stop,
    /// SIGCHLD: a child process ended, stopped or went on.
    Child,
}

/// Starts to catch signals, on a thread of its own so that a second one is heard while the main
/// thread is busy stopping.
pub(crate) fn watch() -> Result<Receiver<Event>> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGCHLD]).context("signals cannot be caught")?;
    let (events, receiver) = channel();
    let forward = move || {
        let mut stopping = false;
        for signal in signals.forever() {
            let event = if signal == SIGCHLD {
                Event::Child
            } else {
                Event::Stop
            };
            if event == Event::Stop && std::mem::replace(&mut stopping, true) {
                tracing::warn!("second signal: stopping at once, exports in hand are not answered");
                std::process::exit(CUT_SHORT);
            }
            // The receiver is gone only when the process is about to end by itself.
            let _ = events.send(event);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(forward)
        .context("the thread that waits for signals cannot be started")?;
    Ok(receiver)
}

/// Waits for a stop; children are nobody's concern here.
pub(crate) fn wait_for_stop(events: &Receiver<Event>) {
    while let Ok(Event::Child) = events.recv() {}
}
