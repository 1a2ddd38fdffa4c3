//! Clients that send their requests a byte at a time, beside those that are measured. What a server answers them is
//! not looked at; one that is hung up on comes again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Between two bytes of a client.
const PACE: Duration = Duration::from_secs(1);
/// The head of its request, which goes on like this for as long as it is let.
const START: &[u8] = b"GET /api/services HTTP/1.1\r\nx-slow: ";
/// Before it comes again.
const AWAY: Duration = Duration::from_secs(1);

/// Starts so many, which end with the runtime.
pub(crate) fn start(runtime: &Runtime, count: usize, server: SocketAddr) {
    for number in 0..count {
        // One after the other, not all in the same moment of each second.
        let late = PACE.mul_f64(number as f64 / count as f64);
        runtime.spawn(async move {
            tokio::time::sleep(late).await;
            loop {
                // That it was hung up on is why it ended.
                let _ = trickle(server).await;
                tokio::time::sleep(AWAY).await;
            }
        });
    }
}

async fn trickle(server: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(START).await?;
    loop {
        tokio::time::sleep(PACE).await;
        stream.write_all(b"x").await?;
    }
}
