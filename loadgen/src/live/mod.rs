//! A page on loopback that shows how a run goes: snapshots go in, one page and its data come out. It takes no
//! commands, and shows nothing but counts.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use tiny_http::{Header, Method, Response, Server};

use crate::error::Error;
use crate::options::Options;
use crate::report::Second;
use crate::watch::Snapshot;

const PAGE: &str = include_str!("page.html");
/// Ten minutes.
const SECONDS_MAX: usize = 600;
/// A page that has asked within this time is open: they ask once a second.
const OPEN_FOR: Duration = Duration::from_secs(3);
/// How long open pages may take to ask for the end, and how many are waited for.
const END_PATIENCE: Duration = Duration::from_secs(3);
const PAGES_MAX: usize = 16;

/// The page, while this lives.
pub struct Live {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown {
    state: Mutex<State>,
    /// A page has been told of the end.
    told: Condvar,
}

#[derive(Debug, Serialize)]
struct State {
    /// Nothing comes any more.
    ended: bool,
    /// Pages by the names that they gave themselves, and when each has asked.
    #[serde(skip)]
    pages: BTreeMap<String, Instant>,
    options: Options,
    snapshot: Option<Snapshot>,
    seconds: VecDeque<Second>,
}

impl Live {
    /// Serves the page at `address`, whose port may be 0.
    ///
    /// # Errors
    /// When that is not on loopback, or not free.
    pub fn start(address: SocketAddr, options: &Options) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::LiveAddress(address));
        }
        let wrong = |reason: String| Error::Live { address, reason };
        let server = Server::http(address).map_err(|error| wrong(error.to_string()))?;
        let address = server
            .server_addr()
            .to_ip()
            .ok_or_else(|| wrong("no address".into()))?;
        let server = Arc::new(server);
        let state = Mutex::new(State {
            ended: false,
            pages: BTreeMap::new(),
            options: options.clone(),
            snapshot: None,
            seconds: VecDeque::new(),
        });
        let shown = Arc::new(Shown {
            state,
            told: Condvar::new(),
        });
        let (serves, shows) = (Arc::clone(&server), Arc::clone(&shown));
        let thread = std::thread::Builder::new()
            .name("loadgen-live".into())
            .spawn(move || serve(&serves, &shows))
            .map_err(Error::Thread)?;
        Ok(Live {
            server,
            thread: Some(thread),
            address,
            shown,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows one more second.
    pub fn show(&self, snapshot: &Snapshot) {
        let mut state = self.shown.state();
        // The last second may have grown.
        let began = snapshot.second.at - snapshot.second.seconds;
        if state
            .seconds
            .back()
            .is_some_and(|last| last.at - last.seconds >= began - 1e-6)
        {
            state.seconds.pop_back();
        }
        state.seconds.push_back(snapshot.second);
        if state.seconds.len() > SECONDS_MAX {
            state.seconds.pop_front();
        }
        state.snapshot = Some(snapshot.clone());
    }
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, and waits until pages that are open have seen the end, or have had the time to.
    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.pages.retain(|_, asked| asked.elapsed() < OPEN_FOR);
        // Whether they did changes nothing any more.
        drop(
            self.told
                .wait_timeout_while(state, END_PATIENCE, |state| !state.pages.is_empty()),
        );
    }

    /// What a page is to show, and whether it is the end. Its query names it.
    fn answer(&self, query: &str) -> (String, bool) {
        let mut state = self.state();
        let has_room = state.pages.len() < PAGES_MAX || state.pages.contains_key(query);
        if !state.ended && has_room && query.starts_with("page=") {
            state.pages.insert(query.to_owned(), Instant::now());
        }
        (
            serde_json::to_string(&*state).unwrap_or_default(),
            state.ended,
        )
    }

    /// The page has been told of the end.
    fn told(&self, query: &str) {
        self.state().pages.remove(query);
        self.told.notify_all();
    }
}

impl Drop for Live {
    /// Pages see the last second before the server is gone.
    fn drop(&mut self) {
        self.shown.end();
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic there has said so itself.
            drop(thread.join());
        }
    }
}

fn serve(server: &Server, shown: &Shown) {
    for request in server.incoming_requests() {
        let url = request.url().to_owned();
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let mut is_end = false;
        let answer = match (request.method(), path) {
            (Method::Get, "/") => typed(PAGE.into(), "text/html; charset=utf-8"),
            (Method::Get, "/state.json") => {
                let (state, ended) = shown.answer(query);
                is_end = ended;
                typed(state, "application/json")
            }
            _ => Response::from_string("only / and /state.json are here\n").with_status_code(404),
        };
        // Whoever asked may have gone.
        drop(request.respond(answer));
        if is_end {
            shown.told(query);
        }
    }
}

fn typed(body: String, kind: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    let response = Response::from_string(body);
    let headers = [("Content-Type", kind), ("Cache-Control", "no-store")];
    headers.iter().fold(
        response,
        |response, (name, value)| match Header::from_bytes(name.as_bytes(), value.as_bytes()) {
            Ok(header) => response.with_header(header),
            Err(()) => response,
        },
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::thread;

    use super::*;
    use crate::tally::Counts;

    fn state(address: SocketAddr) -> serde_json::Value {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "GET /state.json?page=1 HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Scenario: a run ended, and its page, which asks once in a while, never showed the last second, because the
    /// server was gone with the run.
    /// Guarantee: a page that is open is told of the end with the last second in it before the server goes.
    #[test]
    fn open_pages_see_the_end() {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let live = Live::start(any, &Options::default()).unwrap();
        let address = live.address();
        assert_eq!(state(address)["ended"], false);
        let page = thread::spawn(move || {
            loop {
                let state = state(address);
                if state["ended"] == true {
                    return state;
                }
            }
        });
        live.show(&Snapshot {
            elapsed_seconds: 14.0,
            total: Counts::default(),
            failures: BTreeMap::new(),
            second: Second::default(),
        });
        drop(live);
        let last = page.join().unwrap();
        assert_eq!(last["snapshot"]["elapsed_seconds"], 14.0);
    }
}
