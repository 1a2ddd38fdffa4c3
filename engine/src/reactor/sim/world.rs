//! The world of one history: its dice, its clocks, and what executor, network and disk hold. It lives in a
//! thread-local, because the seam's functions have no other way to find it; worlds on other threads are
//! others.

use std::cell::RefCell;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use super::disk::Disk;
use super::executor::{Executor, Step};
use super::network::Network;

/// The time of day, in Unix seconds, at which every history begins.
const MORNING: u64 = 1_750_000_000;
/// Polls after which a history that has not ended never will.
const POLLS_MAX: u64 = 20_000_000;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// See the module.
pub(super) struct World {
    pub(super) random: Rng,
    pub(super) executor: Executor,
    pub(super) network: Network,
    pub(super) disk: Disk,
    /// Stands for the beginning of the history: an `Instant` cannot be made from a number.
    pub(super) start: Instant,
    /// Unix time at the beginning, as the clock of the wall has it after all its jumps.
    morning: Duration,
    /// Over every decision and every note so far.
    trace: DefaultHasher,
}

impl World {
    pub(super) fn wall(&self) -> SystemTime {
        UNIX_EPOCH + self.morning + self.executor.time()
    }

    /// Goes into the trace.
    pub(super) fn note(&mut self, what: impl Hash) {
        what.hash(&mut self.trace);
    }
}

/// Lends the world of this thread. What is lent must not poll, wake foreign code or drop futures.
///
/// # Panics
/// Outside a history.
pub(super) fn with<T>(use_it: impl FnOnce(&mut World) -> T) -> T {
    try_with(use_it).expect("code on the simulated reactor runs in a simulated world only")
}

/// The same for what may run when the world has ended.
pub(super) fn try_with<T>(use_it: impl FnOnce(&mut World) -> T) -> Option<T> {
    WORLD.with(|world| world.borrow_mut().as_mut().map(use_it))
}

/// Runs `main` and whatever it starts in a new world until it returns. Gives its result and the trace: a
/// hash over all that was decided and noted, the same for every run with this seed.
///
/// # Panics
/// When a task panics, when all tasks wait for each other, and when there is no end to it.
pub(crate) fn simulate<T: 'static>(seed: u64, main: impl Future<Output = T> + 'static) -> (T, u64) {
    // Code above the seam rolls this thread's dice too: to spread its retries.
    fastrand::seed(seed);
    let world = World {
        random: Rng::with_seed(seed),
        executor: Executor::default(),
        network: Network::default(),
        disk: Disk::default(),
        start: Instant::now(),
        morning: Duration::from_secs(MORNING),
        trace: DefaultHasher::new(),
    };
    WORLD.with(|place| {
        let before = place.borrow_mut().replace(world);
        assert!(before.is_none(), "a world within a world");
    });
    let _end = End;
    let result = Rc::new(RefCell::new(None));
    let into = Rc::clone(&result);
    with(|world| {
        world.executor.spawn(Box::pin(async move {
            let value = main.await;
            *into.borrow_mut() = Some(value);
        }));
    });
    loop {
        step();
        if let Some(result) = result.borrow_mut().take() {
            return (result, with(|world| world.trace.finish()));
        }
    }
}

/// One poll of one task, or the way to the next moment at which one can be.
fn step() {
    let step = with(|world| {
        let step = world.executor.next(&mut world.random);
        if let Step::Poll(task, _) = &step {
            let time = world.executor.time();
            world.note((*task, time));
            assert!(
                world.executor.polls < POLLS_MAX,
                "no end in {POLLS_MAX} polls"
            );
        }
        step
    });
    let (task, mut polled) = match step {
        Step::Poll(task, polled) => (task, polled),
        Step::Later => return,
        Step::Never => panic!("every task waits, and nothing will happen any more"),
    };
    let ready = polled.poll();
    // A task of a process that was killed meanwhile, by itself, is not taken back; it is dropped outside.
    let (ended, killed) = with(|world| {
        let ended = match ready {
            true => {
                world.executor.ended(task);
                Some(polled)
            }
            false => world.executor.put_back(task, polled),
        };
        (ended, world.executor.burnt())
    });
    drop(ended);
    if let Some(process) = killed {
        process.kill();
    }
}

/// Ends the world: tasks are dropped while it can still be asked.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        // Dropping a task may wake or spawn others.
        loop {
            let tasks = with(|world| world.executor.take_all());
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        let world = WORLD.with(|world| world.borrow_mut().take());
        drop(world);
    }
}

/// Dice of their own, seeded by the world's.
pub(crate) fn random() -> Rng {
    with(|world| world.random.fork())
}

/// Lends the network.
pub(crate) fn network<T>(use_it: impl FnOnce(&mut Network, &mut Rng) -> T) -> T {
    with(|world| use_it(&mut world.network, &mut world.random))
}

/// Heals the network: nothing is held or cut any more.
pub(crate) fn heal_network() {
    with(|world| world.network.heal(&mut world.executor));
}

/// Lends the disk.
pub(crate) fn disk<T>(use_it: impl FnOnce(&mut Disk, &mut Rng) -> T) -> T {
    with(|world| use_it(&mut world.disk, &mut world.random))
}

/// Sets the clock of the wall forwards or back.
pub(crate) fn jump_clock(seconds: i64) {
    with(|world| {
        let now = world.morning.as_secs().saturating_add_signed(seconds);
        world.morning = Duration::from_secs(now);
    });
}

/// Puts something into the trace.
pub(crate) fn note(what: impl Hash) {
    with(|world| world.note(what));
}

/// Polls so far.
pub(crate) fn polls() -> u64 {
    with(|world| world.executor.polls)
}

/// Time since the beginning; none outside a history.
pub(crate) fn time() -> Duration {
    try_with(|world| world.executor.time()).unwrap_or_default()
}
