//! Processes of a history: tasks, connections and listening sockets that share one fate. One can be killed
//! between any two polls, or stopped for a while as by SIGSTOP.

use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

use super::executor::TaskId;
use super::world::with;

/// A process; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(pub(super) usize);

pub(super) struct ProcessState {
    name: &'static str,
    pub(super) alive: bool,
    pub(super) paused: bool,
    /// Polls that are left to it.
    pub(super) fuse: Option<u64>,
    /// Tasks that were ready while it was paused.
    pub(super) parked: Vec<TaskId>,
    waits_for_end: Vec<Waker>,
}

impl ProcessState {
    pub(super) fn new(name: &'static str) -> Self {
        ProcessState {
            name,
            alive: true,
            paused: false,
            fuse: None,
            parked: Vec::new(),
            waits_for_end: Vec::new(),
        }
    }
}

impl Process {
    /// What `simulate` starts.
    pub(super) const WORLD: Process = Process(0);

    /// Starts a process with `main`; when that returns the process goes on until it is killed.
    pub(crate) fn start(name: &'static str, main: impl Future<Output = ()> + 'static) -> Process {
        with(|world| {
            let executor = &mut world.executor;
            let process = Process(executor.processes.len());
            executor.processes.push(ProcessState::new(name));
            executor.spawn_in(process, Box::pin(main));
            process
        })
    }

    /// The process whose code runs.
    pub(crate) fn present() -> Process {
        with(|world| world.executor.present)
    }

    /// Ends it where it stands (SIGKILL): its tasks run no further, and its connections break.
    pub(crate) fn kill(self) {
        let tasks = with(|world| {
            let state = world.executor.state(self);
            if !std::mem::replace(&mut state.alive, false) {
                return Vec::new();
            }
            state.fuse = None;
            state.parked.clear();
            for waker in state.waits_for_end.drain(..) {
                waker.wake();
            }
            let name = state.name;
            world.note(("killed", name));
            world
                .network
                .close_all(self, &mut world.executor, &mut world.random);
            world.executor.take_tasks(self)
        });
        drop(tasks);
    }

    /// Kills it when it has been polled so many times more.
    pub(crate) fn light_fuse(self, polls: u64) {
        with(|world| world.executor.state(self).fuse = Some(polls.max(1)));
    }

    /// Stops it as SIGSTOP does, until `resume`.
    pub(crate) fn pause(self) {
        with(|world| world.executor.state(self).paused = true);
    }

    /// Lets it go on.
    pub(crate) fn resume(self) {
        with(|world| {
            let state = world.executor.state(self);
            state.paused = false;
            let parked = std::mem::take(&mut state.parked);
            world.executor.unpark(parked);
        });
    }

    /// Whether it has not been killed.
    pub(crate) fn is_alive(self) -> bool {
        with(|world| world.executor.state(self).alive)
    }

    /// Returns when it has been killed.
    pub(crate) async fn killed(self) {
        poll_fn(|context| {
            with(|world| {
                let state = world.executor.state(self);
                if !state.alive {
                    return Poll::Ready(());
                }
                state.waits_for_end.push(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}
