//! One question over HTTP: a path goes in, the status, the body and how long it took until its last byte come out.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use bytes::Bytes;

use crate::kinds::NOW;

/// Longer than the query server itself lets a request take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks over connections that stay open.
pub(crate) struct Client {
    client: reqwest::Client,
    address: SocketAddr,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Ok(Client {
            client: client.tcp_nodelay(true).build()?,
            address,
        })
    }

    pub(crate) async fn ask(&self, path: &str) -> Result<Answer> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let path = path.replace(NOW, &since.as_micros().to_string());
        let request = self.client.get(format!("http://{}{path}", self.address));
        let begun = Instant::now();
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        Ok(Answer {
            status,
            body,
            took: begun.elapsed(),
        })
    }
}
