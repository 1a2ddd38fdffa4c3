//! OTLP/gRPC as clients speak it: unary calls over h2, some at a time on one connection.

use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use fastrand::Rng;
use h2::client::SendRequest;
use http::{HeaderMap, Request};

use super::{Failure, GRPC, Load, connect};
use crate::decode::Signal;
use crate::reactor::sim::{self, Sim};
use crate::reactor::{Reactor, within};
use crate::simulation::ledger::Outcome;
use crate::simulation::requests::{self, Made};

/// Sends some requests over one connection.
pub(super) async fn send(
    load: &Rc<Load>,
    requests: usize,
    random: &mut Rng,
) -> Result<(), Failure> {
    let stream = connect(load, GRPC).await?;
    let shaken = within::<Sim, _>(load.patience, h2::client::handshake(stream)).await;
    let (sender, connection) = shaken.ok_or("no handshake in time")??;
    Sim::spawn(async move {
        // Its calls hear of its end themselves.
        let _ = connection.await;
    });
    let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let mut in_flight = 0;
    for _ in 0..requests {
        if !load.take() {
            break;
        }
        let sender = within::<Sim, _>(load.patience, sender.clone().ready()).await;
        let sender = sender.ok_or("no room in time")??;
        let made = requests::make(&load.ledger, random);
        let (load_of_call, ended) = (Rc::clone(load), ended.clone());
        Sim::spawn(async move {
            let number = made.number;
            let call = within::<Sim, _>(load_of_call.patience, call(sender, made)).await;
            if let Some(Ok(outcome)) = call {
                load_of_call.note(number, outcome);
            }
            // The connection may be given up already.
            let _ = ended.send(());
        });
        in_flight += 1;
        if in_flight == load.parallel {
            ends.recv().await;
            in_flight -= 1;
        }
        load.think(random).await;
    }
    for _ in 0..in_flight {
        ends.recv().await;
    }
    sim::note("a connection ends");
    Ok(())
}

async fn call(mut sender: SendRequest<Bytes>, made: Made) -> Result<Outcome, Failure> {
    let (package, service) = match made.signal {
        Signal::Traces => ("trace", "TraceService"),
        Signal::Logs => ("logs", "LogsService"),
        Signal::Metrics => ("metrics", "MetricsService"),
    };
    let path = format!("/opentelemetry.proto.collector.{package}.v1.{service}/Export");
    let request = Request::post(format!("http://{GRPC}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (response, mut stream) = sender.send_request(request, false)?;
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(made.body.len() as u32);
    message.put_slice(&made.body);
    stream.send_data(message.freeze(), true)?;

    let response = response.await?;
    let (head, mut body) = response.into_parts();
    if let Some(status) = status(&head.headers) {
        return Ok(refused(status));
    }
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        answer.extend_from_slice(&data);
    }
    let trailers = body.trailers().await?.ok_or("an answer without trailers")?;
    Ok(match status(&trailers) {
        // An empty message: no row was left out.
        Some(0) if answer == [0; 5] => Outcome::Acknowledged,
        Some(0) => Outcome::Odd(format!("answered {answer:?}")),
        Some(status) => refused(status),
        None => Outcome::Odd("no status".into()),
    })
}

fn status(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn refused(status: i32) -> Outcome {
    match status {
        14 => Outcome::Retry,
        _ => Outcome::Odd(format!("gRPC status {status}")),
    }
}
