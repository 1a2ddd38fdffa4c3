//! OTLP/HTTP as clients speak it: one request after the other on a connection, written and read by hand.

use std::rc::Rc;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Failure, HTTP, Load, connect};
use crate::reactor::sim::{Sim, SimStream};
use crate::reactor::within;
use crate::simulation::ledger::Outcome;
use crate::simulation::requests::{self, Made};

/// Sends some requests over one connection.
pub(super) async fn send(
    load: &Rc<Load>,
    requests: usize,
    random: &mut Rng,
) -> Result<(), Failure> {
    let mut stream = connect(load, HTTP).await?;
    for _ in 0..requests {
        if !load.take() {
            break;
        }
        let made = requests::make(&load.ledger, random);
        export(load, &mut stream, made).await?;
        load.think(random).await;
    }
    Ok(())
}

/// Sends one request over a connection of its own.
pub(super) async fn send_one(load: &Load, made: Made) -> Result<(), Failure> {
    let mut stream = connect(load, HTTP).await?;
    export(load, &mut stream, made).await
}

async fn export(load: &Load, stream: &mut SimStream, made: Made) -> Result<(), Failure> {
    let number = made.number;
    let exchanged = within::<Sim, _>(load.patience, exchange(stream, made)).await;
    let (status, body) = exchanged.ok_or("no answer in time")??;
    load.note(
        number,
        match status {
            200 if body.is_empty() => Outcome::Acknowledged,
            503 => Outcome::Retry,
            status => Outcome::Odd(format!("HTTP status {status}, {body:?}")),
        },
    );
    Ok(())
}

/// Gives the status and the body of the answer.
async fn exchange(stream: &mut SimStream, made: Made) -> Result<(u16, Vec<u8>), Failure> {
    let head = format!(
        "POST /v1/{} HTTP/1.1\r\nhost: engine\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\n\r\n",
        made.signal.label(),
        made.body.len()
    );
    stream
        .write_all(&[head.into_bytes(), made.body].concat())
        .await?;
    let mut answer = Vec::new();
    let end = loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("the connection ended before the answer".into());
        }
        if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    let length = head
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("no length")?.parse()?;
    let mut body = answer.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err("the connection ended within the answer".into());
        }
    }
    Ok((status, body))
}
