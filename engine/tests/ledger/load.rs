//! Clients that send without pause over both transports, and the ledger of what they were told. No client
//! ever repeats a request, so what is stored twice was stored twice by the engine.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;

use crate::ledger::requests::Request;
use crate::support::{PATIENCE, Stack};

const CLIENTS_OF_A_TRANSPORT: usize = 3;
/// How long a client waits that was told to come again: a fraction of what it is asked for, so that it
/// keeps knocking without keeping the machine from restarting ClickHouse.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Where clients send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    /// It may go away at any time and come back: then a request without an answer is no failure.
    pub(crate) may_die: bool,
}

impl Target {
    /// An engine that is there all the time.
    pub(crate) fn of(stack: &Stack) -> Target {
        Target {
            grpc: stack.grpc_addr(),
            http: stack.http_addr(),
            may_die: false,
        }
    }
}

/// Which way a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Grpc, Transport::Http];

/// How a request went.
#[derive(Debug)]
pub(crate) enum Outcome {
    Acknowledged,
    /// Told to come again, in the transport's own proper form.
    ToldToRetry,
    /// An answer that would make a client drop its data.
    Failed(String),
    /// The connection failed.
    Unanswered(String),
}

/// What the clients were told.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Numbers of acknowledged requests, by transport.
    pub(crate) acknowledged: [Vec<u64>; 2],
    /// How many requests were told to come again, by transport.
    pub(crate) told_to_retry: [u64; 2],
    /// How many requests got no answer.
    pub(crate) unanswered: u64,
    pub(crate) failures: Vec<String>,
}

impl Ledger {
    /// Requests acknowledged so far over the transport that has fewer of them.
    pub(crate) fn acknowledged_on_both(&self) -> usize {
        self.acknowledged.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Whether clients of both transports were told to come again.
    pub(crate) fn told_on_both(&self) -> bool {
        self.told_to_retry.iter().all(|told| *told > 0)
    }
}

/// Running clients.
pub(crate) struct Load {
    runtime: Runtime,
    clients: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    changed: Condvar,
    requests: AtomicU64,
    stopping: AtomicBool,
}

impl Load {
    pub(crate) fn start(target: Target) -> Load {
        let runtime = runtime();
        let shared = Arc::new(Shared::default());
        let clients = TRANSPORTS.iter().flat_map(|transport| {
            (0..CLIENTS_OF_A_TRANSPORT).map(|_| {
                let client = Client::new(*transport, target, &runtime);
                runtime.spawn(send(client, target.may_die, Arc::clone(&shared)))
            })
        });
        let clients = clients.collect();
        Load {
            runtime,
            clients,
            shared,
        }
    }

    /// Waits until the ledger is as `done` wants it. No failure is accepted on the way.
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&Ledger) -> bool) {
        let unfinished = |ledger: &mut Ledger| ledger.failures.is_empty() && !done(ledger);
        let ledger = self.shared.ledger();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(ledger, PATIENCE, unfinished);
        let (ledger, time) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(ledger.failures.is_empty(), "{what}: {:?}", ledger.failures);
        assert!(!time.timed_out(), "in vain: {what}");
    }

    /// Waits until 10 more requests were acknowledged over each transport.
    pub(crate) fn wait_for_more_acks(&self) {
        let before = self.shared.ledger().acknowledged_on_both();
        self.wait("acks", |ledger| {
            ledger.acknowledged_on_both() >= before + 10
        });
    }

    /// How many requests were told to come again so far, by transport.
    pub(crate) fn told(&self) -> [u64; 2] {
        self.shared.ledger().told_to_retry
    }

    /// From now on a client whose request fails leaves quietly: the engine is about to end.
    pub(crate) fn expect_the_end(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
    }

    /// Lets every client finish its request, and gives out what they were told.
    pub(crate) fn stop(self) -> (Ledger, u64) {
        self.expect_the_end();
        self.runtime.block_on(async {
            for client in self.clients {
                let ended = tokio::time::timeout(PATIENCE, client).await;
                ended.expect("a client hangs").expect("a client panicked");
            }
        });
        let ledger = std::mem::take(&mut *self.shared.ledger());
        (ledger, self.shared.requests.load(Ordering::SeqCst))
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn send(mut client: Client, may_die: bool, shared: Arc<Shared>) {
    let transport = client.transport() as usize;
    loop {
        let stopping = shared.stopping.load(Ordering::SeqCst);
        let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = client.export(number).await;
        let mut pause = false;
        {
            let mut ledger = shared.ledger();
            match outcome {
                Outcome::Acknowledged => ledger.acknowledged[transport].push(number),
                Outcome::ToldToRetry => {
                    ledger.told_to_retry[transport] += 1;
                    pause = true;
                }
                Outcome::Unanswered(_) if may_die => {
                    ledger.unanswered += 1;
                    pause = true;
                }
                // Read again: the end may have come while the request was on its way.
                Outcome::Unanswered(_) | Outcome::Failed(_)
                    if shared.stopping.load(Ordering::SeqCst) =>
                {
                    return;
                }
                Outcome::Unanswered(how) | Outcome::Failed(how) => {
                    ledger.failures.push(format!("request {number}: {how}"))
                }
            }
        }
        shared.changed.notify_all();
        if stopping {
            return;
        }
        if pause {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// One connection to the engine.
pub(crate) enum Client {
    Grpc(Channel),
    Http(reqwest::Client, String),
}

impl Client {
    pub(crate) fn new(transport: Transport, target: Target, runtime: &Runtime) -> Client {
        let _entered = runtime.enter();
        match transport {
            Transport::Grpc => {
                let endpoint = Endpoint::from_shared(format!("http://{}", target.grpc));
                let endpoint = endpoint.expect("an endpoint").timeout(PATIENCE);
                Client::Grpc(endpoint.connect_lazy())
            }
            Transport::Http => {
                let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
                let url = format!("http://{}", target.http);
                Client::Http(client.build().expect("a client"), url)
            }
        }
    }

    fn transport(&self) -> Transport {
        match self {
            Client::Grpc(_) => Transport::Grpc,
            Client::Http(..) => Transport::Http,
        }
    }

    /// Sends request `number` and says how it went.
    pub(crate) async fn export(&mut self, number: u64) -> Outcome {
        let request = Request::new(number);
        match self {
            Client::Grpc(channel) => match export_grpc(channel.clone(), request).await {
                Ok(()) => Outcome::Acknowledged,
                Err(status) => grpc_refusal(&status),
            },
            Client::Http(client, url) => {
                let post = client.post(format!("{url}{}", request.path()));
                let post = post.header("content-type", "application/x-protobuf");
                match post.body(request.encode()).send().await {
                    Ok(answer) => http_outcome(&answer),
                    Err(error) => Outcome::Unanswered(format!("{error:?}")),
                }
            }
        }
    }
}

async fn export_grpc(channel: Channel, request: Request) -> Result<(), tonic::Status> {
    match request {
        Request::Traces(request) => {
            let mut client = TraceServiceClient::new(channel);
            client.export(request).await.map(drop)
        }
        Request::Logs(request) => {
            let mut client = LogsServiceClient::new(channel);
            client.export(request).await.map(drop)
        }
        Request::Metrics(request) => {
            let mut client = MetricsServiceClient::new(channel);
            client.export(request).await.map(drop)
        }
    }
}

fn grpc_refusal(status: &tonic::Status) -> Outcome {
    let retry = status.get_details_retry_info();
    let delay = retry.and_then(|retry| retry.retry_delay);
    match status.code() {
        tonic::Code::Unavailable if delay.is_some_and(|delay| !delay.is_zero()) => {
            Outcome::ToldToRetry
        }
        // Made by the client itself.
        _ if status.source().is_some() => Outcome::Unanswered(format!("{status:?}")),
        _ => Outcome::Failed(format!("{status:?}")),
    }
}

fn http_outcome(answer: &reqwest::Response) -> Outcome {
    let after = answer.headers().get("retry-after");
    let after = after.and_then(|after| after.to_str().ok()?.parse::<u64>().ok());
    match (answer.status().as_u16(), after) {
        (200, _) => Outcome::Acknowledged,
        (503, Some(seconds)) if seconds > 0 => Outcome::ToldToRetry,
        _ => Outcome::Failed(format!("{answer:?}")),
    }
}
