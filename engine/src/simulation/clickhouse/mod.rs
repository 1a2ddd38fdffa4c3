//! A simulated ClickHouse: speaks the native protocol's own bytes, stores what is inserted, remembers tokens
//! in a window, and has every mishap of a real one at any point of an INSERT. What it stored outlives it.

mod queries;
mod store;
mod wire;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use spanmill_schema::{DATABASE, TableId};
use tokio::io::AsyncWriteExt;

use super::BytesHash;
use crate::columns::{Compressor, empty_block};
use crate::reactor::Reactor;
use crate::reactor::sim::{self, Process, Sim, SimStream};

pub(super) use store::Store;
use wire::{Packet, Packets, Query};

/// Where it listens.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)),
    9000,
);

/// Exceptions that a server answers inserts with when it has trouble.
const EXCEPTIONS: [(i32, &str); 6] = [
    (252, "TOO_MANY_PARTS"),
    (241, "MEMORY_LIMIT_EXCEEDED"),
    (159, "TIMEOUT_EXCEEDED"),
    (164, "READONLY"),
    (242, "TABLE_IS_READ_ONLY"),
    (999, "KEEPER_EXCEPTION"),
];

/// What the server's processes share, one after the other.
pub(super) type Shared = Rc<Server>;

pub(super) struct Server {
    pub(super) store: RefCell<Store>,
    /// How often an INSERT meets a mishap at present.
    pub(super) mishaps: std::cell::Cell<f64>,
    /// Mishaps so far.
    pub(super) met: std::cell::Cell<u64>,
    empty_block: Vec<u8>,
}

/// What happens to an INSERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mishap {
    None,
    Exception,
    Hang,
    Close,
    Die,
}

/// Where it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// When the statement has come.
    Query,
    /// When some of the data has come.
    Data,
    /// When all has come, and nothing is stored.
    End,
    /// When all is stored, and nobody knows.
    Stored,
}

impl Server {
    pub(super) fn new(store: Store) -> Shared {
        Rc::new(Server {
            store: RefCell::new(store),
            mishaps: Default::default(),
            met: Default::default(),
            empty_block: empty_block(&mut Compressor::default()),
        })
    }

    /// Starts the server's process.
    pub(super) fn start(self: &Shared) -> Process {
        let server = Rc::clone(self);
        Process::start("clickhouse", async move {
            let Ok(listener) = Sim::listen(sim::bind(ADDRESS)) else {
                return;
            };
            while let Ok(stream) = Sim::accept(&listener).await {
                let session = Session {
                    server: Rc::clone(&server),
                    packets: Packets::new(stream),
                    random: sim::random(),
                };
                Sim::spawn(async move {
                    // A client that is gone needs nothing any more.
                    let _ = session.serve().await;
                });
            }
        })
    }
}

/// One connection.
struct Session {
    server: Shared,
    packets: Packets,
    random: Rng,
}

impl Session {
    async fn serve(mut self) -> io::Result<()> {
        let Packet::Hello { user } = self.packets.next().await? else {
            panic!("a connection begins with hello");
        };
        if self.server.mishaps.get() > 0.0 && self.random.u8(..20) == 0 {
            self.met();
            let refused = format!("{user}: Authentication failed");
            return self.refuse(516, "AUTHENTICATION_FAILED", &refused).await;
        }
        self.send(&wire::hello()).await?;
        self.packets.addendum().await?;
        loop {
            match self.packets.next().await? {
                Packet::Query(query) => self.query(&query).await?,
                Packet::Ping => self.send(&wire::PONG).await?,
                Packet::Hello { .. } => panic!("hello comes once"),
                // What belongs to no query: the empty block of "no external tables" is read with it.
                Packet::Data(_) => panic!("data without a query"),
            }
        }
    }

    async fn query(&mut self, query: &Query) -> io::Result<()> {
        let Packet::Data(_) = self.packets.next().await? else {
            panic!("a query is followed by the end of its external tables");
        };
        let insert = TableId::ALL.into_iter().find(|table| {
            let begins = format!("INSERT INTO `{DATABASE}`.`{}` (", table.name());
            query.text.starts_with(&begins)
        });
        match insert {
            Some(table) => self.insert(table, query).await,
            None => {
                let (mishap, place) = self.mishap();
                if place == Place::Query {
                    self.meet(mishap).await?;
                }
                let answer = queries::answer(&self.server.store.borrow(), query);
                self.send(&answer).await
            }
        }
    }

    async fn insert(&mut self, table: TableId, query: &Query) -> io::Result<()> {
        self.check_settings(query);
        let (mishap, place) = self.mishap();
        if place == Place::Query {
            self.meet(mishap).await?;
        }
        self.send(&wire::header(&self.server.empty_block)).await?;
        let mut blocks = Vec::new();
        loop {
            let Packet::Data(plain) = self.packets.next().await? else {
                panic!("an insert goes on with data");
            };
            if plain[8..] == [0, 0] {
                break;
            }
            blocks.push(plain);
            if place == Place::Data {
                self.meet(mishap).await?;
            }
        }
        if place == Place::End {
            self.meet(mishap).await?;
        }
        self.send(&wire::events()).await?;
        // Inserting takes its time; others may come in between.
        Sim::sleep(Duration::from_micros(self.random.u64(100..20_000))).await;
        let token = query.setting("insert_deduplication_token");
        sim::note((table, token, BytesHash(&blocks)));
        let repeated = self.server.store.borrow().remembers(table, token);
        tracing::debug!(token, repeated, "stores");
        self.server.store.borrow_mut().insert(table, token, &blocks);
        if place == Place::Stored {
            self.meet(mishap).await?;
        }
        self.send(&wire::END_OF_STREAM).await
    }

    /// The settings without which a repeated insert may be stored twice.
    fn check_settings(&self, query: &Query) {
        for (name, value) in [
            ("async_insert", "0"),
            ("insert_deduplicate", "1"),
            ("deduplicate_blocks_in_dependent_materialized_views", "1"),
            ("max_insert_threads", "1"),
        ] {
            if query.setting(name) != value {
                let fault = format!("an insert with {name} = {:?}", query.setting(name));
                self.server.store.borrow_mut().fault(fault);
            }
        }
    }

    fn met(&self) {
        self.server.met.set(self.server.met.get() + 1);
    }

    fn mishap(&mut self) -> (Mishap, Place) {
        let places = [Place::Query, Place::Data, Place::End, Place::Stored];
        let place = places[self.random.usize(..places.len())];
        if self.random.f64() >= self.server.mishaps.get() {
            return (Mishap::None, place);
        }
        self.met();
        let mishaps = [
            Mishap::Exception,
            Mishap::Exception,
            Mishap::Hang,
            Mishap::Close,
            Mishap::Die,
        ];
        (mishaps[self.random.usize(..mishaps.len())], place)
    }

    /// Lets a mishap happen. An error ends the connection.
    async fn meet(&mut self, mishap: Mishap) -> io::Result<()> {
        match mishap {
            Mishap::None => Ok(()),
            Mishap::Exception => {
                let (code, name) = EXCEPTIONS[self.random.usize(..EXCEPTIONS.len())];
                self.refuse(code, name, "simulated trouble").await
            }
            Mishap::Hang => {
                let time = Duration::from_millis(self.random.u64(1..20_000));
                Sim::sleep(time).await;
                Ok(())
            }
            Mishap::Close => Err(io::ErrorKind::ConnectionAborted.into()),
            Mishap::Die => {
                sim::Process::present().kill();
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// Answers with an exception and ends the connection.
    async fn refuse(&mut self, code: i32, name: &str, message: &str) -> io::Result<()> {
        self.send(&wire::exception(code, name, message)).await?;
        if self.random.bool() {
            self.packets.discard().await;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream: &mut SimStream = self.packets.stream.get_mut();
        stream.write_all(bytes).await
    }
}
