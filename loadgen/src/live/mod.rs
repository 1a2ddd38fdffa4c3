//! A page on loopback that shows how a run goes: snapshots go in, one page and its data come out. It takes no
//! commands, and shows nothing but counts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::Serialize;
use tiny_http::{Header, Method, Response, Server};

use crate::error::Error;
use crate::options::Options;
use crate::report::Second;
use crate::watch::Snapshot;

const PAGE: &str = include_str!("page.html");
/// Ten minutes.
const SECONDS_MAX: usize = 600;

/// The page, while this lives.
pub struct Live {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Serialize)]
struct State {
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
        let state = Arc::new(Mutex::new(State {
            options: options.clone(),
            snapshot: None,
            seconds: VecDeque::new(),
        }));
        let (serves, shows) = (Arc::clone(&server), Arc::clone(&state));
        let thread = std::thread::Builder::new()
            .name("loadgen-live".into())
            .spawn(move || serve(&serves, &shows))
            .map_err(Error::Thread)?;
        Ok(Live {
            server,
            thread: Some(thread),
            address,
            state,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows one more second.
    pub fn show(&self, snapshot: &Snapshot) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Drop for Live {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic there has said so itself.
            drop(thread.join());
        }
    }
}

fn serve(server: &Server, state: &Mutex<State>) {
    for request in server.incoming_requests() {
        let path = request.url().split('?').next().unwrap_or_default();
        let answer = match (request.method(), path) {
            (Method::Get, "/") => typed(PAGE.into(), "text/html; charset=utf-8"),
            (Method::Get, "/state.json") => {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                typed(
                    serde_json::to_string(&*state).unwrap_or_default(),
                    "application/json",
                )
            }
            _ => Response::from_string("only / and /state.json are here\n").with_status_code(404),
        };
        // Whoever asked may have gone.
        drop(request.respond(answer));
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
