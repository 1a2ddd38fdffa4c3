//! Logs on a real disk: written, left behind, damaged, and inserted by the next run.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;
use spanmill_schema::TableId;

use super::cursor::UNFINISHED;
use super::format::Position;
use super::read::{Found, Reader};
use super::{Appender, Log, LogId, Queue, segment_name};
use crate::chunk::Chunk;
use crate::config::{AckMode, Config};
use crate::insert::Batch;
use crate::metrics::Metrics;
use crate::reactor::{Epoll, Reactor};
use crate::shard::Shard;
use crate::status::Statuses;

const STATEMENT: &str = "INSERT INTO somewhere";

fn shard(folder: &Path, index: usize, shards: usize) -> Rc<Shard> {
    let mut config = Config::of_test(shards, AckMode::Log);
    config.log.folder = folder.to_owned();
    config.batch_rows_max = 3;
    let (_, mut parts) = Metrics::new(shards, &config.clickhouse.native);
    let (_, mut statuses) = Statuses::new(shards, false);
    Rc::new(Shard::new::<Epoll>(
        index,
        Arc::new(config),
        parts.swap_remove(index),
        statuses.swap_remove(index),
        None,
    ))
}

/// A chunk of one row, whose only block is its number and some filling.
fn chunk(number: u64) -> Chunk {
    let mut chunk = Chunk::of_rows(1);
    chunk.push(TableId::Logs, 0, 1, |out| {
        out.extend_from_slice(&number.to_le_bytes());
        out.resize(out.len() + number as usize % 50, 0xa5);
    });
    chunk
}

fn number(chunk: &Chunk) -> u64 {
    let frames = chunk.frames(&chunk.sealed[0]);
    u64::from_le_bytes(frames[..8].try_into().unwrap())
}

fn numbers(batch: &Batch) -> Vec<u64> {
    batch.chunks.iter().map(number).collect()
}

/// The next chunk's number; `None` when there is none at present.
async fn read(reader: &mut Reader<Epoll>) -> Option<u64> {
    match reader.next().await.unwrap() {
        Found::Chunk {
            chunk,
            missing,
            statements,
        } => {
            assert_eq!((missing, &statements[0][..]), (0, STATEMENT));
            Some(number(&chunk))
        }
        Found::Damage(damage) => panic!("{damage:?}"),
        Found::End => None,
    }
}

fn appender(log: &Rc<Log>) -> Appender<Epoll> {
    let statements = vec![STATEMENT.to_owned(); TableId::ALL.len()];
    Appender::new(Rc::clone(log), statements.into(), 1 << 30)
}

/// Writes the log of a run with these chunks, each commit synced for itself.
async fn write(folder: &Path, run: u128, shard: u32, commits: &[Vec<u64>]) -> Rc<Log> {
    let log = Rc::new(Log::new(folder, LogId { run, shard }));
    let mut appender = appender(&log);
    for commit in commits {
        let chunks = commit.iter().copied().map(chunk).collect();
        appender.append(chunks).await.unwrap();
    }
    log
}

/// A queue of a later run over what lies in `folder`.
fn queue(folder: &Path, run: u128) -> Queue<Epoll> {
    Queue::new(shard(folder, 0, 1), None, run)
}

/// Everything that a later run inserts, batch by batch: tokens and chunks.
async fn insert_all(queue: &mut Queue<Epoll>) -> Vec<(String, Vec<u64>)> {
    let mut all = Vec::new();
    while let Some(batch) = queue.next_batch(None).await {
        assert_eq!(batch.statements[0], STATEMENT);
        all.push((batch.token.clone(), numbers(&batch)));
        queue.inserted().await;
    }
    all
}

fn on_epoll<F: Future<Output = ()> + 'static>(test: impl FnOnce(PathBuf) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    Epoll::run(None, || test(path)).unwrap();
}

fn logs_left(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| LogId::of_name(name).is_some()).count()
}

fn aside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(super::aside::ASIDE))
        .into_iter()
        .flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Scenario: a run writes chunks and inserts a first batch; it dies after it gave out the second. The next run
/// is given that batch, dies too, and so does a third after the last batch was inserted.
/// Guarantee: what was given out and not noted as inserted is given out again, the same chunks under the same
/// token; the rest follows once, in order; when all is inserted nothing is left on disk.
#[test]
fn what_was_in_flight_is_given_out_again_under_its_token() {
    on_epoll(|folder| async move {
        write(&folder, 7, 0, &[vec![0, 1], vec![2, 3, 4], vec![5, 6, 7]]).await;
        let name = LogId { run: 7, shard: 0 }.name();
        let mut first = queue(&folder, 8);
        let one = first.next_batch(None).await.unwrap();
        assert_eq!((numbers(&one), one.outcome_unknown), (vec![0, 1, 2], false));
        assert_eq!(one.token, format!("{name}-1"));
        first.inserted().await;
        let two = first.next_batch(Some([5; 5])).await.unwrap();
        assert_eq!(numbers(&two), [3, 4, 5]);

        let mut second = queue(&folder, 9);
        let again = second.next_batch(Some([9; 5])).await.unwrap();
        assert_eq!((&again.token, numbers(&again)), (&two.token, numbers(&two)));
        assert!(again.outcome_unknown);
        assert_eq!(
            again.seen,
            Some([5; 5]),
            "as it was before it was first sent"
        );

        let rest = insert_all(&mut queue(&folder, 10)).await;
        let expected = [
            (two.token, vec![3, 4, 5]),
            (format!("{name}-3"), vec![6, 7]),
        ];
        assert_eq!(rest, expected);
        assert_eq!(logs_left(&folder), 0);
    });
}

/// Scenario: chunks are written while they are inserted, in one run, through several segments.
/// Guarantee: each is given out once and in order, segments that are inserted are removed, and when the shard
/// ends the log is.
#[test]
fn a_log_is_inserted_while_it_grows() {
    on_epoll(|folder| async move {
        let shard = shard(&folder, 0, 1);
        let log = Rc::new(Log::new(&folder, LogId { run: 1, shard: 0 }));
        let mut appender = appender(&log);
        let mut queue = Queue::<Epoll>::new(Rc::clone(&shard), Some(log), 1);
        let mut inserted = Vec::new();
        let mut segments = 0;
        for round in 0..20 {
            let chunks: Vec<_> = (0..4).map(|place| chunk(round * 4 + place)).collect();
            let rows = chunks.len();
            let mut grown = appender.append(chunks).await.unwrap();
            shard.backlog.add(rows, Epoll::now());
            if round % 5 == 4 {
                grown += appender.begin_segment().await.unwrap();
            }
            shard.log_changed(grown as i64);
            let batch = queue.next_batch(None).await.unwrap();
            inserted.extend(numbers(&batch));
            queue.inserted().await;
            let files = fs::read_dir(folder.join(LogId { run: 1, shard: 0 }.name())).unwrap();
            segments = segments.max(files.count());
        }
        shard.backlog.close();
        while let Some(batch) = queue.next_batch(None).await {
            inserted.extend(numbers(&batch));
            queue.inserted().await;
        }
        queue.leave().await;
        assert_eq!(inserted, Vec::from_iter(0..80));
        assert_eq!(shard.log_bytes(), 0);
        assert!(
            segments < 7,
            "{segments} files at once: segments are not removed"
        );
        assert_eq!(logs_left(&folder), 0);
    });
}

/// Scenario: all of a log is inserted, but a segment could not be removed when it was, nor a cursor that was never
/// finished, and a file lies there that is none of the log's.
/// Guarantee: nothing of the log is left that could be inserted again, and what is not the log's stays.
#[test]
fn what_could_not_be_removed_at_first_goes_with_the_log() {
    on_epoll(|folder| async move {
        let shard = shard(&folder, 0, 1);
        let log = Rc::new(Log::new(&folder, LogId { run: 1, shard: 0 }));
        let mut appender = appender(&log);
        let mut queue = Queue::<Epoll>::new(Rc::clone(&shard), Some(Rc::clone(&log)), 1);
        let first = log.segment_path(0);
        let mut whole = Vec::new();
        for number in 0..3 {
            appender.append(vec![chunk(number)]).await.unwrap();
            if number == 0 {
                whole = fs::read(&first).unwrap();
            }
            appender.begin_segment().await.unwrap();
            shard.backlog.add(1, Epoll::now());
            let batch = queue.next_batch(None).await.unwrap();
            assert_eq!(numbers(&batch), [number]);
            queue.inserted().await;
        }
        assert!(!first.exists());
        fs::write(&first, whole).unwrap();
        fs::write(log.folder.join(UNFINISHED), "half").unwrap();
        let strange = log.folder.join("notes.txt");
        fs::write(&strange, "mine").unwrap();
        shard.backlog.close();
        assert!(queue.next_batch(None).await.is_none());
        queue.leave().await;
        let left = fs::read_dir(&log.folder).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [strange]);
    });
}

/// Scenario: a log keeps some bytes of chunks in memory; what its file holds behind the header is then gone.
/// Guarantee: as many chunks come from memory as it may keep, the oldest among them, and the others are damage.
#[test]
fn what_memory_keeps_is_not_read_back() {
    on_epoll(|folder| async move {
        let bytes = chunk(0).bytes();
        for (kept, shard) in [(0, 0), (3, 1), (10, 2)] {
            let log = Log::new(&folder, LogId { run: 1, shard });
            let log = Rc::new(log.keeping(kept * bytes));
            let mut appender = appender(&log);
            // Of one size each.
            appender
                .append((0..10).map(|number| chunk(number * 50)).collect())
                .await
                .unwrap();
            let path = log.segment_path(0);
            let whole = fs::read(&path).unwrap();
            let records = (0..10).map(|number| chunk(number * 50).into_record(number).len());
            let header = whole.len() - records.sum::<usize>();
            let gone = vec![0; whole.len() - header];
            fs::write(&path, [&whole[..header], &gone].concat()).unwrap();

            let mut reader = Reader::<Epoll>::new(Rc::clone(&log), Position::default());
            for place in 0..kept as u64 {
                assert_eq!(read(&mut reader).await, Some(place * 50));
            }
            let next = reader.next().await.unwrap();
            assert_eq!(matches!(next, Found::Damage(_)), kept < 10);
            assert_eq!(matches!(next, Found::End), kept == 10);
        }
    });
}

/// Scenario: a run of five shards leaves its logs; the next has two shards, three, or one.
/// Guarantee: each log falls to exactly one of the shards, and one shard inserts all of them.
#[test]
fn logs_are_dealt_out_to_other_numbers_of_shards() {
    on_epoll(|folder| async move {
        for index in 0..5 {
            write(&folder, 3, index, &[vec![u64::from(index)]]).await;
        }
        for shards in [2, 3] {
            let mut dealt = Vec::new();
            for index in 0..shards {
                let queue = Queue::<Epoll>::new(shard(&folder, index, shards), None, 4);
                dealt.extend(queue.find_old().await.unwrap());
            }
            dealt.sort_by_key(|log| log.shard);
            let all: Vec<_> = (0..5).map(|shard| LogId { run: 3, shard }).collect();
            assert_eq!(dealt, all);
        }
        let all = insert_all(&mut queue(&folder, 5)).await;
        let mut all: Vec<_> = all.into_iter().flat_map(|(_, numbers)| numbers).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert_eq!(logs_left(&folder), 0);
    });
}

/// Scenario: of two logs one has both slots of its cursor overwritten.
/// Guarantee: it is set aside whole, not inserted and not removed; the other is inserted.
#[test]
fn a_log_with_a_broken_cursor_is_set_aside() {
    on_epoll(|folder| async move {
        let broken = write(&folder, 1, 0, &[vec![1]]).await;
        write(&folder, 2, 0, &[vec![2]]).await;
        fs::write(broken.folder.join(super::cursor::CURSOR), [0xff; 8192]).unwrap();
        let all = insert_all(&mut queue(&folder, 3)).await;
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1, [2]);
        let kept = aside(&folder);
        assert_eq!(kept, [folder.join("aside").join(broken.id.name())]);
        assert!(kept[0].join(segment_name(0)).exists());
    });
}

/// Scenario: a process was killed while it made a log's cursor, before the log had anything; another, while it made
/// that of a log that was put back by hand.
/// Guarantee: neither is set aside: the first is removed, the second inserted.
#[test]
fn an_unfinished_cursor_is_none() {
    on_epoll(|folder| async move {
        let empty = folder.join(LogId { run: 1, shard: 0 }.name());
        fs::create_dir(&empty).unwrap();
        let back = write(&folder, 2, 0, &[vec![1]]).await.folder.clone();
        fs::remove_file(back.join(super::cursor::CURSOR)).unwrap();
        fs::write(empty.join(super::cursor::UNFINISHED), []).unwrap();
        fs::write(back.join(super::cursor::UNFINISHED), [0; 100]).unwrap();
        let all = insert_all(&mut queue(&folder, 3)).await;
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1, [1]);
        assert!(aside(&folder).is_empty());
        assert_eq!(logs_left(&folder), 0);
    });
}

/// Scenario: a batch is set aside; a person moves it back.
/// Guarantee: what follows it is inserted; moved back, its chunks are given out under another token.
#[test]
fn a_batch_that_was_set_aside_can_be_put_back() {
    on_epoll(|folder| async move {
        write(&folder, 1, 0, &[vec![0, 1, 2], vec![3]]).await;
        let mut first = queue(&folder, 2);
        let batch = first.next_batch(None).await.unwrap();
        let token = batch.token.clone();
        first.set_aside(batch, "for a test").await;
        let rest = insert_all(&mut first).await;
        assert_eq!(rest[0].1, [3]);
        let kept = aside(&folder);
        assert_eq!(kept.len(), 1);
        fs::rename(&kept[0], folder.join(kept[0].file_name().unwrap())).unwrap();
        let back = insert_all(&mut queue(&folder, 3)).await;
        assert_eq!(back[0].1, [0, 1, 2]);
        assert_ne!(back[0].0, token);
        assert_eq!(logs_left(&folder), 0);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Scenario: chunks are committed, segments begun, and chunks read in any order, from a log that keeps any number
    /// of bytes in memory; at times a new reader begins where one was before, as after a try that failed.
    /// Guarantee: from there on every chunk comes once and in order, and none is said to be missing, wherever it
    /// comes from.
    #[test]
    fn chunks_come_in_order_from_memory_and_files(
        keeping in prop_oneof![Just(0), 1..2_000_usize, Just(1 << 20)],
        steps in prop::collection::vec((0..4, 0..6_usize, any::<prop::sample::Index>()), 1..40),
    ) {
        on_epoll(move |folder| async move {
            let log = Rc::new(Log::new(&folder, LogId { run: 1, shard: 0 }).keeping(keeping));
            let mut appender = appender(&log);
            let mut reader = Reader::<Epoll>::new(Rc::clone(&log), Position::default());
            // Where each chunk that was read began.
            let mut begins = vec![];
            let mut written = 0;
            let mut next = 0;
            for (step, count, place) in steps {
                match step {
                    0 | 1 => {
                        let chunks = (written..).take(count).map(chunk).collect();
                        appender.append(chunks).await.unwrap();
                        written += count as u64;
                    }
                    2 => assert!(appender.begin_segment().await.unwrap() > 0),
                    _ if !begins.is_empty() && count == 0 => {
                        next = place.index(begins.len());
                        reader = Reader::new(Rc::clone(&log), begins[next]);
                    }
                    _ => for _ in 0..count {
                        let begin = reader.at();
                        let found = read(&mut reader).await;
                        assert_eq!(found, ((next as u64) < written).then_some(next as u64));
                        if found.is_some() {
                            begins.truncate(next);
                            begins.push(begin);
                            next += 1;
                        }
                    },
                }
            }
        });
    }

    /// Scenario: one bit anywhere in the only segment is turned, or the segment is cut anywhere, as when power
    /// is lost in the middle of a write.
    /// Guarantee: every chunk that is whole is given out once and in order; a chunk that was damaged is not,
    /// and unless it is the end of the log that is cut, what was damaged is set aside.
    #[test]
    fn damage_costs_what_it_touches(
        place in any::<prop::sample::Index>(),
        bit in 0..8,
        cut in any::<bool>(),
    ) {
        on_epoll(move |folder| async move {
            let log = write(&folder, 1, 0, &[vec![0, 1, 2, 3], vec![4, 5]]).await;
            let path = log.segment_path(0);
            let mut bytes = fs::read(&path).unwrap();
            let mut records: VecDeque<_> = (0..6).map(|number| chunk(number).into_record(number)).collect();
            let header = bytes.len() - records.iter().map(Vec::len).sum::<usize>();
            let place = header + place.index(bytes.len() - header);
            let mut whole = Vec::new();
            let mut at = header;
            for (number, record) in records.drain(..).enumerate() {
                let end = at + record.len();
                if if cut { end <= place } else { !(at..end).contains(&place) } {
                    whole.push(number as u64);
                }
                at = end;
            }
            match cut {
                true => bytes.truncate(place),
                false => bytes[place] ^= 1u8 << bit,
            }
            fs::write(&path, bytes).unwrap();
            let all = insert_all(&mut queue(&folder, 2)).await;
            let all: Vec<_> = all.into_iter().flat_map(|(_, numbers)| numbers).collect();
            assert_eq!(all, whole);
            // The head of the last chunk alone cannot be told from a write that was never finished.
            let end = cut || whole == [0, 1, 2, 3, 4];
            assert!(end || aside(&folder).len() == 1, "{:?}", aside(&folder));
        });
    }
}
