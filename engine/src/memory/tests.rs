//! Who gets memory when it is short, and who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

const MIB: usize = 1 << 20;

fn memory(hard: usize) -> Rc<Memory> {
    let plan = MemoryPlan {
        hard,
        ..MemoryPlan::new(1 << 30, 1)
    };
    Memory::new(plan, Gauge::default())
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Scenario: a large body grows until it is refused; then small ones come until they are refused.
/// Guarantee: the large one stops at seven eighths, no other large one begins, small ones have the rest, and
/// what is given back can be had again.
#[test]
fn small_requests_have_the_last_part() {
    let memory = memory(64 * MIB);
    let mut large = memory.reservation();
    while large.grow(MIB).is_ok() {}
    assert_eq!(large.bytes(), 56 * MIB);
    assert!(memory.reservation().grow(2 * MIB).is_err());
    let mut small = Vec::new();
    loop {
        let mut next = memory.reservation();
        if next.grow(MIB).is_err() {
            break;
        }
        small.push(next);
    }
    assert_eq!(small.len(), 8);
    assert!(memory.admit().is_err());
    drop((large, small));
    assert!(memory.admit().is_ok());
    assert!(memory.reservation().grow(32 * MIB).is_ok());
}

/// Scenario: readers come while more is used than there is, and again; then some is given back.
/// Guarantee: they wait, each is woken once, and then they read.
#[test]
fn readers_wait_while_all_is_taken() {
    let memory = memory(MIB);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut intakes = [Intake::default(), Intake::default()];
    let mut held = memory.reservation();
    held.set(MIB + 1);
    for _ in 0..3 {
        for intake in &mut intakes {
            let read = memory.poll_read(intake, &Context::from_waker(&waker));
            assert!(read.is_pending());
        }
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    held.set(MIB);
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    for intake in &mut intakes {
        let read = memory.poll_read(intake, &Context::from_waker(&waker));
        assert!(read.is_ready());
    }
}

/// Scenario: one reader uses up a turn; it and another come again.
/// Guarantee: both are sent to the end of the queue once, and then a new turn begins for both.
#[test]
fn readers_have_turns() {
    let memory = memory(MIB);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut intakes = [Intake::default(), Intake::default()];
    memory.read(memory.plan().read_ahead_bytes);
    for intake in &mut intakes {
        let read = memory.poll_read(intake, &Context::from_waker(&waker));
        assert!(read.is_pending());
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    for intake in &mut intakes {
        let read = memory.poll_read(intake, &Context::from_waker(&waker));
        assert!(read.is_ready());
    }
}
