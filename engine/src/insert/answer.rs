//! The packets that ClickHouse sends: read, bounded, and boiled down to "done" or why not. It trusts no
//! length: a string or block past `ANSWER_BYTES_MAX` is an error.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::{InsertError, ServerException};
use crate::limits::ANSWER_BYTES_MAX;

const HELLO: u64 = 0;
const DATA: u64 = 1;
const EXCEPTION: u64 = 2;
const PROGRESS: u64 = 3;
const PONG: u64 = 4;
const END_OF_STREAM: u64 = 5;
const PROFILE_INFO: u64 = 6;
const LOG: u64 = 10;
const TABLE_COLUMNS: u64 = 11;
const PROFILE_EVENTS: u64 = 14;

/// Bytes of a compressed frame before its payload: checksum, method, both sizes.
const FRAME_HEAD: usize = 25;
/// Of those, what the frame's own compressed size counts.
const FRAME_COUNTED: usize = 9;
/// Numbers in a Progress packet: rows, bytes, total rows, written rows, written bytes, elapsed time.
const PROGRESS_NUMBERS: usize = 6;
/// Causes that an exception may carry inside each other.
const NESTED_MAX: usize = 16;

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) name: String,
    pub(super) version: (u64, u64, u64),
    pub(super) revision: u64,
}

/// Reads the answer to hello.
pub(super) async fn read_hello(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<ServerHello, InsertError> {
    match read_varint(from).await? {
        HELLO => {}
        EXCEPTION => return Err(read_exception(from).await?.into()),
        packet => return Err(unexpected(packet, "hello")),
    }
    let name = read_string(from).await?;
    let major = read_varint(from).await?;
    let minor = read_varint(from).await?;
    let revision = read_varint(from).await?;
    if revision < super::protocol::SERVER_REVISION_MIN {
        return Err(InsertError::TooOld { revision });
    }
    read_string(from).await?; // time zone
    read_string(from).await?; // display name
    let patch = read_varint(from).await?;
    Ok(ServerHello {
        name,
        version: (major, minor, patch),
        revision,
    })
}

/// Reads the answer to a Ping. Progress of the query before it may come first.
pub(super) async fn read_pong(from: &mut (impl AsyncRead + Unpin)) -> Result<(), InsertError> {
    loop {
        match read_varint(from).await? {
            PONG => return Ok(()),
            PROGRESS => skip_varints(from, PROGRESS_NUMBERS).await?,
            EXCEPTION => return Err(read_exception(from).await?.into()),
            packet => return Err(unexpected(packet, "the answer to a ping")),
        }
    }
}

/// Reads until the INSERT is confirmed or refused.
pub(super) async fn read_confirmation(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<(), InsertError> {
    while read_until_data(from).await? {
        // The empty block that describes the table; it comes compressed, as ours do.
        skip_frame(from).await?;
    }
    Ok(())
}

/// Reads the whole answer to a SELECT of one text: uncompressed blocks, of which one has a row.
pub(super) async fn read_text(from: &mut (impl AsyncRead + Unpin)) -> Result<String, InsertError> {
    let mut text = None;
    while read_until_data(from).await? {
        skip_block_info(from).await?;
        let columns = read_varint(from).await?;
        let rows = read_varint(from).await?;
        for _ in 0..columns {
            let kind = read_column_head(from).await?;
            match (kind.as_str(), rows) {
                (_, 0) => {}
                ("String", 1) if text.is_none() => text = Some(read_string(from).await?),
                _ => {
                    return Err(InsertError::Protocol(format!(
                        "{rows} rows of {kind} came instead of one text"
                    )));
                }
            }
        }
    }
    text.ok_or_else(|| InsertError::Protocol("no row came instead of one text".into()))
}

/// Reads packets until a block follows (true) or the answer has ended (false).
async fn read_until_data(from: &mut (impl AsyncRead + Unpin)) -> Result<bool, InsertError> {
    loop {
        match read_varint(from).await? {
            END_OF_STREAM => return Ok(false),
            EXCEPTION => return Err(read_exception(from).await?.into()),
            DATA => {
                read_string(from).await?;
                return Ok(true);
            }
            PROFILE_EVENTS | LOG => {
                read_string(from).await?;
                skip_plain_block(from).await?;
            }
            PROGRESS => skip_varints(from, PROGRESS_NUMBERS).await?,
            PROFILE_INFO => {
                skip_varints(from, 3).await?;
                from.read_u8().await?;
                skip_varints(from, 1).await?;
                from.read_u8().await?;
            }
            TABLE_COLUMNS => {
                read_string(from).await?;
                read_string(from).await?;
            }
            PONG => {}
            packet => return Err(unexpected(packet, "the answer to a statement")),
        }
    }
}

fn unexpected(packet: u64, instead_of: &str) -> InsertError {
    InsertError::Protocol(format!("packet {packet} came instead of {instead_of}"))
}

async fn read_exception(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<ServerException, InsertError> {
    let mut outermost = None;
    for _ in 0..NESTED_MAX {
        let code = from.read_i32_le().await?;
        let name = read_string(from).await?;
        let message = read_string(from).await?;
        read_string(from).await?; // stack trace
        let nested = from.read_u8().await? != 0;
        outermost.get_or_insert(ServerException {
            code,
            name,
            message,
        });
        if !nested {
            break;
        }
    }
    outermost.ok_or_else(|| InsertError::Protocol("an exception without content".into()))
}

async fn skip_frame(from: &mut (impl AsyncRead + Unpin)) -> Result<(), InsertError> {
    let mut head = [0; FRAME_HEAD];
    from.read_exact(&mut head).await?;
    let counted = u32::from_le_bytes([head[17], head[18], head[19], head[20]]) as usize;
    let payload = counted
        .checked_sub(FRAME_COUNTED)
        .ok_or_else(|| InsertError::Protocol("a compressed frame shorter than its head".into()))?;
    skip(from, payload).await
}

/// Passes over an uncompressed block of the types that logs and profile events have.
async fn skip_plain_block(from: &mut (impl AsyncRead + Unpin)) -> Result<(), InsertError> {
    skip_block_info(from).await?;
    let columns = read_varint(from).await?;
    let rows = read_varint(from).await?;
    for _ in 0..columns {
        let kind = read_column_head(from).await?;
        skip_column(from, &kind, rows).await?;
    }
    Ok(())
}

async fn skip_block_info(from: &mut (impl AsyncRead + Unpin)) -> Result<(), InsertError> {
    loop {
        match read_varint(from).await? {
            0 => return Ok(()),
            1 => skip(from, 1).await?,
            2 => skip(from, 4).await?,
            field => {
                return Err(InsertError::Protocol(format!(
                    "field {field} in a block's info"
                )));
            }
        }
    }
}

/// Reads a column's name and type; gives the type.
async fn read_column_head(from: &mut (impl AsyncRead + Unpin)) -> Result<String, InsertError> {
    read_string(from).await?;
    let kind = read_string(from).await?;
    if from.read_u8().await? != 0 {
        return Err(InsertError::Protocol(
            "a column with custom serialization, which was not asked for".into(),
        ));
    }
    Ok(kind)
}

async fn skip_column(
    from: &mut (impl AsyncRead + Unpin),
    kind: &str,
    rows: u64,
) -> Result<(), InsertError> {
    let width = match kind.split('(').next().unwrap_or_default() {
        "String" => {
            for _ in 0..rows {
                read_string(from).await?;
            }
            return Ok(());
        }
        "UInt8" | "Int8" | "Enum8" => 1,
        "UInt32" | "Int32" | "DateTime" => 4,
        "UInt64" | "Int64" => 8,
        _ => {
            return Err(InsertError::Protocol(format!(
                "a column of type {kind} among the server's events"
            )));
        }
    };
    let bytes = usize::try_from(rows)
        .ok()
        .and_then(|rows| rows.checked_mul(width))
        .ok_or_else(too_long)?;
    skip(from, bytes).await
}

async fn read_varint(from: &mut (impl AsyncRead + Unpin)) -> Result<u64, InsertError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.read_u8().await?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(InsertError::Protocol("a varint longer than 64 bits".into()))
}

async fn skip_varints(
    from: &mut (impl AsyncRead + Unpin),
    count: usize,
) -> Result<(), InsertError> {
    for _ in 0..count {
        read_varint(from).await?;
    }
    Ok(())
}

async fn read_string(from: &mut (impl AsyncRead + Unpin)) -> Result<String, InsertError> {
    let length = read_varint(from).await?;
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= ANSWER_BYTES_MAX)
        .ok_or_else(too_long)?;
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn skip(from: &mut (impl AsyncRead + Unpin), bytes: usize) -> Result<(), InsertError> {
    if bytes > ANSWER_BYTES_MAX {
        return Err(too_long());
    }
    let skipped = tokio::io::copy(&mut from.take(bytes as u64), &mut tokio::io::sink()).await?;
    if skipped < bytes as u64 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

fn too_long() -> InsertError {
    InsertError::Protocol(format!(
        "a length past {ANSWER_BYTES_MAX} bytes; is this ClickHouse's native port?"
    ))
}

/// Reads all that `answer` holds as the answer to an INSERT or to hello; an error is its text.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_answer(mut answer: &[u8], to_insert: bool) -> Result<(), String> {
    let read = async {
        match to_insert {
            true => read_confirmation(&mut answer).await,
            false => read_hello(&mut answer).await.map(drop),
        }
    };
    futures_lite::future::block_on(read).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::push_varint;

    fn run<T>(read: impl Future<Output = T>) -> T {
        futures_lite::future::block_on(read)
    }

    fn string(out: &mut Vec<u8>, text: &str) {
        push_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }

    /// Scenario: every kind of packet that comes during an INSERT, then the end.
    /// Guarantee: each is passed over exactly; cut anywhere before the end it is an error, not a hang.
    #[test]
    fn packets_are_passed_over_exactly() {
        let mut bytes = Vec::new();
        bytes.push(TABLE_COLUMNS as u8);
        string(&mut bytes, "");
        string(&mut bytes, "columns format version: 1");
        bytes.push(DATA as u8);
        string(&mut bytes, "");
        bytes.extend_from_slice(&[0; 16]);
        bytes.push(0x82);
        bytes.extend_from_slice(&12u32.to_le_bytes());
        bytes.extend_from_slice(&3u32.to_le_bytes());
        bytes.extend_from_slice(b"xyz");
        bytes.push(PROFILE_EVENTS as u8);
        string(&mut bytes, "");
        bytes.extend_from_slice(&[1, 0, 2, 255, 255, 255, 255, 0, 2, 2]);
        string(&mut bytes, "name");
        string(&mut bytes, "String");
        bytes.push(0);
        string(&mut bytes, "a");
        string(&mut bytes, "bc");
        string(&mut bytes, "type");
        string(&mut bytes, "Enum8('increment' = 1, 'gauge' = 2)");
        bytes.extend_from_slice(&[0, 1, 2]);
        bytes.extend_from_slice(&[PROGRESS as u8, 1, 2, 3, 4, 5, 6]);
        bytes.extend_from_slice(&[PROFILE_INFO as u8, 1, 2, 3, 0, 4, 1]);
        bytes.push(END_OF_STREAM as u8);
        bytes.push(0xee);

        let mut rest = &bytes[..];
        run(read_confirmation(&mut rest)).unwrap();
        assert_eq!(rest, [0xee]);
        for cut in 0..bytes.len() - 2 {
            assert!(run(read_confirmation(&mut &bytes[..cut])).is_err());
        }
    }

    /// Scenario: what may come after a ping: the answer, late progress first, an exception, the end of the
    /// connection, the end of an insert.
    /// Guarantee: only the answer is a success, and it is read exactly.
    #[test]
    fn only_a_pong_answers_a_ping() {
        let mut rest = &[PROGRESS as u8, 1, 2, 3, 4, 5, 6, PONG as u8, 0xee][..];
        run(read_pong(&mut rest)).unwrap();
        assert_eq!(rest, [0xee]);
        for bad in [&[][..], &[EXCEPTION as u8, 1], &[END_OF_STREAM as u8]] {
            assert!(run(read_pong(&mut &bad[..])).is_err(), "{bad:?}");
        }
    }

    /// Scenario: an exception with a nested cause; and an answer that is no native protocol at all.
    /// Guarantee: code and message of the outer one; an error instead of a giant allocation.
    #[test]
    fn exceptions_are_read_and_lengths_are_not_trusted() {
        let mut bytes = vec![EXCEPTION as u8];
        for (code, nested) in [(252, 1), (1, 0)] {
            bytes.extend_from_slice(&i32::to_le_bytes(code));
            string(&mut bytes, "DB::Exception");
            string(&mut bytes, "Too many parts");
            string(&mut bytes, "trace");
            bytes.push(nested);
        }
        match run(read_confirmation(&mut &bytes[..])) {
            Err(InsertError::Server(exception)) => assert_eq!(exception.code, 252),
            other => panic!("{other:?}"),
        }
        assert!(run(read_hello(&mut &b"HTTP/1.1 400 Bad Request\r\n"[..])).is_err());
        let mut long = vec![HELLO as u8];
        push_varint(&mut long, u64::MAX);
        assert!(matches!(
            run(read_hello(&mut &long[..])),
            Err(InsertError::Protocol(_))
        ));
    }
}
