//! Tasks, their order, and time: whichever task the dice choose among those that are ready runs next, and
//! time passes only when none is. It never looks at a real clock.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fastrand::Rng;

use super::process::{Process, ProcessState};
use super::world::{try_with, with};

pub(super) type TaskId = u64;
/// When a timer is due, and which of those at that time it is.
pub(super) type TimerKey = (Duration, u64);
type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// See the module.
pub(super) struct Executor {
    tasks: BTreeMap<TaskId, Task>,
    next_task: TaskId,
    /// Tasks that can run. Their order holds no chance but the dice's: see `collect_woken`.
    ready: Vec<TaskId>,
    woken: Woken,
    timers: BTreeMap<TimerKey, Waker>,
    next_timer: u64,
    time: Duration,
    pub(super) processes: Vec<ProcessState>,
    /// Whose task is being polled: what it starts is its own.
    pub(super) present: Process,
    pub(super) polls: u64,
}

type Woken = Arc<Mutex<Vec<TaskId>>>;

struct Task {
    process: Process,
    /// Missing while it is polled.
    future: Option<TaskFuture>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    woken: Woken,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            woken.push(self.id);
        }
    }
}

/// A task on its way to be polled, outside the world.
pub(super) struct Polled {
    future: TaskFuture,
    waker: Waker,
}

impl Polled {
    pub(super) fn poll(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        self.future.as_mut().poll(&mut context).is_ready()
    }
}

/// What is to be done next.
pub(super) enum Step {
    Poll(TaskId, Polled),
    /// Time has passed; look again.
    Later,
    /// Nothing is ready and no timer runs.
    Never,
}

impl Default for Executor {
    fn default() -> Self {
        Executor {
            tasks: BTreeMap::new(),
            next_task: 0,
            ready: Vec::new(),
            woken: Woken::default(),
            timers: BTreeMap::new(),
            next_timer: 0,
            time: Duration::ZERO,
            // The one that `simulate` starts: it is never killed.
            processes: vec![ProcessState::new("world")],
            present: Process::WORLD,
            polls: 0,
        }
    }
}

impl Executor {
    /// Time since the beginning.
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// Starts a task in the present process. In one that is dead nothing starts any more: then the task is
    /// given back, to be dropped outside the world.
    pub(super) fn spawn(&mut self, future: TaskFuture) -> Option<TaskFuture> {
        self.spawn_in(self.present, future)
    }

    pub(super) fn spawn_in(&mut self, process: Process, future: TaskFuture) -> Option<TaskFuture> {
        if !self.state(process).alive {
            return Some(future);
        }
        let id = self.next_task;
        self.next_task += 1;
        let waker = Arc::new(TaskWaker {
            id,
            queued: AtomicBool::new(true),
            woken: Arc::clone(&self.woken),
        });
        let future = Some(future);
        self.tasks.insert(
            id,
            Task {
                process,
                future,
                waker,
            },
        );
        self.ready.push(id);
        None
    }

    pub(super) fn state(&mut self, process: Process) -> &mut ProcessState {
        &mut self.processes[process.0]
    }

    /// Chooses among the tasks that are ready, or lets time pass until one may be.
    pub(super) fn next(&mut self, random: &mut Rng) -> Step {
        self.collect_woken();
        while !self.ready.is_empty() {
            let id = self.ready.swap_remove(random.usize(..self.ready.len()));
            let Some(task) = self.tasks.get_mut(&id) else {
                continue; // killed
            };
            let process = &mut self.processes[task.process.0];
            if process.paused {
                process.parked.push(id);
                continue;
            }
            if let Some(left) = &mut process.fuse {
                *left = left.saturating_sub(1);
            }
            let Some(future) = task.future.take() else {
                continue;
            };
            task.waker.queued.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&task.waker));
            self.present = task.process;
            self.polls += 1;
            return Step::Poll(id, Polled { future, waker });
        }
        self.pass_time()
    }

    /// Several tasks that one poll woke come in the order of their ids: tokio's own wake lists may hold
    /// chance that no seed governs.
    fn collect_woken(&mut self) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.sort_unstable();
        self.ready.append(&mut woken);
    }

    fn pass_time(&mut self) -> Step {
        let Some((&(due, _), _)) = self.timers.first_key_value() else {
            return Step::Never;
        };
        self.time = self.time.max(due);
        while let Some(first) = self.timers.first_entry() {
            if first.key().0 > self.time {
                break;
            }
            first.remove().wake();
        }
        Step::Later
    }

    /// Takes a task back that is not ready yet; gives it again if its process is dead.
    pub(super) fn put_back(&mut self, id: TaskId, polled: Polled) -> Option<Polled> {
        let Some(task) = self.tasks.get_mut(&id) else {
            return Some(polled);
        };
        task.future = Some(polled.future);
        None
    }

    pub(super) fn ended(&mut self, id: TaskId) {
        self.tasks.remove(&id);
    }

    /// The process whose fuse the last poll has burnt down, if it has.
    pub(super) fn burnt(&mut self) -> Option<Process> {
        let present = self.present;
        let state = self.state(present);
        if state.fuse != Some(0) {
            return None;
        }
        state.fuse = None;
        Some(present)
    }

    /// Takes the tasks of a process out, to be dropped outside the world.
    pub(super) fn take_tasks(&mut self, process: Process) -> Vec<TaskFuture> {
        let own = |(id, task): (&TaskId, &Task)| (task.process == process).then_some(*id);
        let ids: Vec<_> = self.tasks.iter().filter_map(own).collect();
        let tasks = ids.iter().filter_map(|id| self.tasks.remove(id));
        tasks.filter_map(|task| task.future).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<TaskFuture> {
        let tasks = std::mem::take(&mut self.tasks).into_values();
        tasks.filter_map(|task| task.future).collect()
    }

    /// Lets tasks run that were parked while their process was paused.
    pub(super) fn unpark(&mut self, parked: Vec<TaskId>) {
        self.ready.extend(parked);
    }

    /// Wakes `waker` at `due`.
    pub(super) fn add_timer(&mut self, due: Duration, waker: Waker) -> TimerKey {
        let key = (due, self.next_timer);
        self.next_timer += 1;
        self.timers.insert(key, waker);
        key
    }

    pub(super) fn remove_timer(&mut self, key: TimerKey) {
        self.timers.remove(&key);
    }
}

/// Waits for virtual time to pass.
pub(super) struct Sleep {
    due: Duration,
    timer: Option<TimerKey>,
}

impl Sleep {
    pub(super) fn new(duration: Duration) -> Self {
        let due = with(|world| world.executor.time().saturating_add(duration));
        Sleep { due, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        with(|world| {
            let executor = &mut world.executor;
            if let Some(timer) = self.timer.take() {
                executor.remove_timer(timer);
            }
            if executor.time() >= self.due {
                return Poll::Ready(());
            }
            self.timer = Some(executor.add_timer(self.due, context.waker().clone()));
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            try_with(|world| world.executor.remove_timer(timer));
        }
    }
}
