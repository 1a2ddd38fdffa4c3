//! The admin port: whether the engine lives, whether it takes requests and what is wrong, and its metrics.
//! It runs on a thread of its own and never touches a shard but to read its counters and its status.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use spanmill_schema::NotReady;
use tokio::sync::Mutex;

use crate::config::Config;
use crate::listen::{Answer, Connections, Linger, Stop, answer_http, stopped};
use crate::metrics::Metrics;
use crate::reactor::{Epoll, Reactor, within};
use crate::status::{Look, Statuses};

/// Content type of the Prometheus text format as it is written here.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a look at ClickHouse holds, so that probes of many kinds do not become load.
const READY_FOR: Duration = Duration::from_secs(1);
/// How long such a look may take.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

struct Admin {
    metrics: Arc<Metrics>,
    statuses: Statuses,
    config: Arc<Config>,
    last_look: Mutex<Option<(Instant, Look)>>,
}

/// Serves until `stop`.
pub(crate) async fn serve(
    socket: TcpListener,
    metrics: Arc<Metrics>,
    statuses: Statuses,
    config: Arc<Config>,
    mut stop: Stop,
) -> std::io::Result<()> {
    let listener = Epoll::listen(socket)?;
    let admin = Rc::new(Admin {
        metrics,
        statuses,
        config,
        last_look: Mutex::new(None),
    });
    let peers = admin.config.peers;
    let connections = Connections::new(peers, peers.admin_connections);
    Epoll::spawn(Rc::clone(&connections).watch::<Epoll>(stop.clone()));
    loop {
        let accepted = async {
            let stream = Epoll::accept(&listener).await;
            connections.slot().await;
            stream
        };
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => return Ok(()),
            accepted = accepted => accepted,
        };
        let Ok(stream) = accepted else {
            connections.make_room();
            Epoll::sleep(crate::limits::BACKOFF_MIN).await;
            continue;
        };
        let open = connections.open(None);
        let stream = Linger::new(stream, Rc::clone(&open.peer), None);
        let (admin, stop) = (Rc::clone(&admin), stop.clone());
        Epoll::spawn(async move {
            let _open = open;
            answer_http::<Epoll, _>(stream, stop, move |request, calling| {
                let admin = Rc::clone(&admin);
                async move {
                    let _calling = calling;
                    admin.answer(&request).await
                }
            })
            .await;
        });
    }
}

impl Admin {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "alive\n".into()),
            "/readyz" => {
                let look = self.look().await;
                let readiness = self.statuses.readiness(&look, Epoll::now());
                let status = match readiness.ready {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                text(status, readiness.text)
            }
            "/metrics" => {
                let mut answer = text(StatusCode::OK, self.metrics.text());
                let kind = HeaderValue::from_static(METRICS_TYPE);
                answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                answer
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz and /metrics\n".into(),
            ),
        }
    }

    /// Whether ClickHouse answers and has the tables that this engine writes to.
    async fn look(&self) -> Look {
        let mut last_look = self.last_look.lock().await;
        if let Some((when, look)) = &*last_look
            && when.elapsed() < READY_FOR
        {
            return look.clone();
        }
        let looking = spanmill_schema::verify(&self.config.clickhouse.http, &self.config.tables);
        let look = match within::<Epoll, _>(READY_TIMEOUT, looking).await {
            Some(Ok(())) => Look::Fit,
            Some(Err(NotReady::Server(error))) => Look::NotAsked(error.to_string()),
            Some(Err(error)) => Look::Unfit(error.to_string()),
            None => {
                let url = &self.config.clickhouse.http.url;
                Look::NotAsked(format!(
                    "ClickHouse at {url} did not answer within {READY_TIMEOUT:?}"
                ))
            }
        };
        *last_look = Some((Instant::now(), look.clone()));
        look
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::from(Bytes::from(text)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
