//! One thread that sends: requests fall due by the schedule and are handed to tasks of their own, so that an
//! answer, however late, moves no due time. At the maximum rate a request is due when an earlier one is answered.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::alarm::Alarm;
use crate::client::{Connection, Target};
use crate::delivery::{Lane, Request, deliver};
use crate::options::Options;
use crate::requests::Template;
use crate::schedule::{Schedule, Times};
use crate::signal::{Signal, Turns};
use crate::tally::{Tally, locked};

/// What a thread needs; it makes the rest itself.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    /// Which of the threads it is.
    pub(crate) number: usize,
    pub(crate) target: Arc<Target>,
    pub(crate) templates: [Vec<Template>; 3],
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    /// Requests that may wait for another try.
    pub(crate) waiting: usize,
    /// Makes this run's ids different from every other's.
    pub(crate) run: u64,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// The start, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) at: Instant,
    /// Nanoseconds since 1970.
    pub(crate) wall: u64,
}

/// How a thread ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// What it took from the start on.
    pub(crate) cpu: Duration,
    pub(crate) sent_until: Instant,
}

/// Connects, says so on `ready`, and begins when `start` says so. It ends when all is sent and answered or
/// given up.
pub(crate) fn run(
    plan: Plan,
    ready: impl FnOnce(io::Result<()>),
    start: impl FnOnce() -> Option<Start>,
) -> io::Result<End> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let connections: Rc<[Connection]> = (0..plan.connections)
        .map(|_| Connection::default())
        .collect();
    let opened = local.block_on(&runtime, async {
        for connection in connections.iter() {
            connection.open(&plan.target).await?;
        }
        Ok(())
    });
    let is_open = opened.is_ok();
    ready(opened);
    let Some(start) = start().filter(|_| is_open) else {
        return Ok(End {
            cpu: Duration::ZERO,
            sent_until: Instant::now(),
        });
    };
    let before = cpu_time();
    let sent_until = local.block_on(&runtime, async {
        let mut sender = Sender::new(plan, connections, start)?;
        sender.send_all().await?;
        let sent_until = Instant::now();
        sender.drain().await;
        io::Result::Ok(sent_until)
    })?;
    Ok(End {
        cpu: cpu_time().saturating_sub(before),
        sent_until,
    })
}

fn cpu_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

struct Sender {
    lane: Rc<Lane>,
    schedule: Option<Schedule>,
    /// Items before the next one on the schedule; threads begin at parts of a request, so that they alternate.
    items: f64,
    turns: Turns,
    templates: [Vec<Template>; 3],
    places: [usize; 3],
    run: u64,
    start: Instant,
    times: Times,
    end: Instant,
    drain: Duration,
    permits: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    cut: watch::Sender<bool>,
    alarm: Alarm,
    tasks: JoinSet<()>,
}

/// What ended the wait for room.
enum Room {
    Free(OwnedSemaphorePermit),
    Over,
}

impl Sender {
    fn new(plan: Plan, connections: Rc<[Connection]>, start: Start) -> io::Result<Self> {
        let options = &plan.options;
        let part = plan.number as f64 / options.threads as f64;
        let cut = watch::Sender::new(false);
        let lane = Lane {
            target: plan.target,
            connections,
            tally: plan.tally,
            retry: options.retry,
            timeout: options.timeout,
            waiting: Cell::new(0),
            waiting_max: plan.waiting,
            random: RefCell::new(Rng::with_seed(options.seed ^ plan.number as u64)),
            cut: cut.subscribe(),
        };
        Ok(Sender {
            lane: Rc::new(lane),
            schedule: options.schedule(options.threads),
            items: part * options.items_per_request as f64,
            turns: Turns::new(options.signals),
            templates: plan.templates,
            places: [0; 3],
            run: plan.run,
            start: start.at,
            times: options.times(start.wall),
            end: start.at + options.duration,
            drain: options.drain,
            permits: Arc::new(Semaphore::new(plan.in_flight)),
            stop: plan.stop,
            cut,
            alarm: Alarm::new()?,
            tasks: JoinSet::new(),
        })
    }

    async fn send_all(&mut self) -> io::Result<()> {
        match self.schedule {
            Some(schedule) => self.open_loop(schedule).await,
            None => {
                self.closed_loop().await;
                Ok(())
            }
        }
    }

    /// Sends what is due when it is due. Without room it waits, and the report says so.
    async fn open_loop(&mut self, schedule: Schedule) -> io::Result<()> {
        while let Some(after) = schedule.due_within(self.items) {
            let due = self.start + after;
            if due > Instant::now() {
                tokio::select! {
                    biased;
                    () = stopped(&mut self.stop) => return Ok(()),
                    rung = self.alarm.at(due) => rung?,
                }
            } else {
                // It is late, and never waits: answers still have to be read.
                tokio::task::yield_now().await;
            }
            let (room, held_up) = match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => (Room::Free(permit), false),
                Err(_) => (self.room().await, true),
            };
            match room {
                Room::Free(permit) => self.send(due, permit, held_up),
                Room::Over => {
                    self.give_up(schedule);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn closed_loop(&mut self) {
        while let Room::Free(permit) = self.room().await {
            let now = Instant::now();
            if now >= self.end {
                return;
            }
            self.send(now, permit, false);
        }
    }

    /// Waits until a request may be sent, or it is too late to.
    async fn room(&mut self) -> Room {
        tokio::select! {
            biased;
            () = stopped(&mut self.stop) => Room::Over,
            () = tokio::time::sleep_until(self.end.into()) => Room::Over,
            permit = Arc::clone(&self.permits).acquire_owned() => permit.map_or(Room::Over, Room::Free),
        }
    }

    fn next(&mut self) -> (Signal, usize) {
        let signal = self.turns.next();
        let place = &mut self.places[signal as usize];
        let this = *place;
        *place = (this + 1) % self.templates[signal as usize].len();
        let items = self.templates[signal as usize][this].items();
        self.turns.count(signal, items);
        self.items += items as f64;
        (signal, this)
    }

    fn send(&mut self, due: Instant, permit: OwnedSemaphorePermit, held_up: bool) {
        let (signal, place) = self.next();
        let template = &mut self.templates[signal as usize][place];
        let items = template.items();
        let body = template.next(self.run, self.times.at(due - self.start));
        let lag = due.elapsed();
        locked(&self.lane.tally).sent(signal, items, lag, held_up);
        let request = Request {
            signal,
            items,
            due,
            body,
        };
        let delivery = deliver(Rc::clone(&self.lane), request, permit);
        self.tasks.spawn_local(delivery);
        while self.tasks.try_join_next().is_some() {}
    }

    /// Counts what was due up to now and has not been sent.
    fn give_up(&mut self, schedule: Schedule) {
        let over = Instant::now().min(self.end);
        while let Some(after) = schedule.due_within(self.items) {
            if self.start + after > over {
                break;
            }
            let (signal, place) = self.next();
            let items = self.templates[signal as usize][place].items();
            locked(&self.lane.tally).not_sent(signal, items);
        }
    }

    /// Awaits what is under way for a while; then the rest is given up.
    async fn drain(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, all).await.is_err() {
            self.cut.send_replace(true);
            while self.tasks.join_next().await.is_some() {}
        }
    }
}

/// Comes back when the caller has asked to stop; never when it is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
