//! The simulated reactor by itself: what it decides is the seed's, and what it does to bytes and files is
//! what networks and disks do.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::{
    Cut, Process, Sim, SimFile, SimStream, bind, disk, heal_network, network, note, simulate,
};
use crate::reactor::{File, Reactor, within};

const SERVER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
    4317,
);

/// Starts a process whose listener gives each connection to `serve`.
fn start_server<F: Future<Output = ()> + 'static>(serve: fn(SimStream) -> F) -> Process {
    Process::start("server", async move {
        let listener = Sim::listen(bind(SERVER)).unwrap();
        while let Ok(stream) = Sim::accept(&listener).await {
            Sim::spawn(serve(stream));
        }
    })
}

async fn connected() -> SimStream {
    loop {
        if let Ok(stream) = Sim::connect(SERVER).await {
            return stream;
        }
        Sim::sleep(Duration::from_millis(1)).await;
    }
}

async fn echo(mut stream: SimStream) {
    let mut bytes = [0; 1000];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Which of ten tasks ran in which order, each waiting for a signal of which all hear at once.
fn order(seed: u64) -> (Vec<usize>, u64) {
    simulate(seed, async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let (signal, signalled) = watch::channel(false);
        for task in 0..10 {
            let (order, mut signalled) = (Rc::clone(&order), signalled.clone());
            Sim::spawn(async move {
                signalled.wait_for(|signalled| *signalled).await.unwrap();
                Sim::sleep(Duration::from_secs(1)).await;
                order.borrow_mut().push(task);
                note(task);
            });
        }
        Sim::sleep(Duration::from_secs(1)).await;
        signal.send_replace(true);
        while order.borrow().len() < 10 {
            Sim::sleep(Duration::from_secs(3600)).await;
        }
        order.take()
    })
}

/// Scenario: ten tasks are woken by one signal, under several seeds, each twice.
/// Guarantee: a seed gives the same order and trace each time, another one another; hours cost no time.
#[test]
fn the_seed_decides_the_order() {
    let first: Vec<_> = (0..8).map(order).collect();
    let again: Vec<_> = (0..8).map(order).collect();
    assert_eq!(first, again);
    for (at, one) in first.iter().enumerate() {
        assert!(first[..at].iter().all(|other| other != one));
    }
}

/// Scenario: 100 KB go to an echo and back, through small reads and writes, pipes that fill, and delays.
/// Guarantee: every byte arrives once and in order.
#[test]
fn bytes_arrive_in_order() {
    for seed in 0..20 {
        let sent: Vec<u8> = (0..100_000u32)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        let (received, _) = simulate(seed, async move {
            start_server(echo);
            let (mut from, mut to) = tokio::io::split(connected().await);
            let length = sent.len();
            let copy = sent.clone();
            Sim::spawn(async move { to.write_all(&copy).await.unwrap() });
            let mut received = vec![0; length];
            from.read_exact(&mut received).await.unwrap();
            assert_eq!(received, sent);
            received.len()
        });
        assert_eq!(received, 100_000);
    }
}

/// Scenario: a connection to an echo is cut when some bytes more have gone one way, with and without a
/// word to its ends.
/// Guarantee: a beginning of what was sent comes back and no more; a cut that is told ends in an error
/// or an end, one that is not is silence until the network is healed.
#[test]
fn a_connection_is_cut_after_any_byte() {
    for seed in 0..100 {
        let cut = [Cut::Reset, Cut::Silent][seed as usize % 2];
        simulate(seed, async move {
            start_server(echo);
            let mut stream = connected().await;
            network(|network, random| {
                assert!(network.lay_fuse(SERVER, seed as usize * 11, cut, random));
            });
            let sent: Vec<u8> = (0..1_200u32).map(|n| n as u8).collect();
            let (mut received, mut failed) = (Vec::new(), stream.write_all(&sent).await.is_err());
            while !failed {
                let read =
                    within::<Sim, _>(Duration::from_secs(60), stream.read_buf(&mut received));
                match read.await {
                    None => heal_network(),
                    Some(Ok(0) | Err(_)) => failed = true,
                    Some(Ok(_)) => assert!(received.len() < 1_200 && sent.starts_with(&received)),
                }
            }
            assert!(received.len() <= seed as usize * 11);
        });
    }
}

/// Scenario: the server is killed: by name, or after some more polls. Then another is started.
/// Guarantee: its client reads an end or an error, its tasks run no further, its port is free at once.
#[test]
fn a_killed_process_takes_its_connections_with_it() {
    for seed in 0..50 {
        simulate(seed, async move {
            let server = start_server(echo);
            let mut stream = connected().await;
            stream.write_all(b"hello").await.unwrap();
            match seed % 2 {
                0 => server.kill(),
                _ => server.light_fuse(seed),
            }
            // Gives it polls to burn.
            while stream.write_all(b"more").await.is_ok() {
                Sim::sleep(Duration::from_millis(1)).await;
            }
            server.killed().await;
            assert!(!server.is_alive());
            let refused = Sim::connect(SERVER).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            start_server(echo);
            let mut stream = connected().await;
            stream.write_all(b"hello").await.unwrap();
            stream.read_exact(&mut [0; 5]).await.unwrap();
        });
    }
}

/// Scenario: a process is stopped for an hour, and an address is silent for an hour.
/// Guarantee: nothing is answered meanwhile, and everything afterwards.
#[test]
fn what_is_held_goes_on_afterwards() {
    const HOUR: Duration = Duration::from_secs(3600);
    for seed in 0..20 {
        simulate(seed, async move {
            let server = start_server(echo);
            let mut stream = connected().await;
            for way in 0..2 {
                match way {
                    0 => server.pause(),
                    _ => network(|network, _| network.silence(SERVER)),
                }
                stream.write_all(b"hello").await.unwrap();
                let mut answer = [0; 5];
                let early = within::<Sim, _>(HOUR, stream.read(&mut answer)).await;
                assert!(early.is_none());
                match way {
                    0 => server.resume(),
                    _ => heal_network(),
                }
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"hello");
            }
        });
    }
}

/// Scenario: files are made, renamed and removed, with and without a sync of their folder, and the power
/// is lost.
/// Guarantee: what was synced stands; what was not is found both ways, never a name without its folder.
#[test]
fn names_are_durable_once_their_folder_is_synced() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (names, _) = simulate(seed, async {
            let folder = Path::new("/log/0");
            Sim::make_folder(folder).await.unwrap();
            for name in ["a", "b"] {
                let file = SimFile::create(folder, name).await;
                file.write_at(0, b"x".to_vec()).await.unwrap();
                file.sync().await.unwrap();
            }
            for folder in folder.ancestors() {
                Sim::sync_folder(folder).await.unwrap();
            }
            SimFile::create(folder, "new").await;
            Sim::rename(&folder.join("a"), &folder.join("renamed"))
                .await
                .unwrap();
            Sim::remove(&folder.join("b")).await.unwrap();
            disk(|disk, random| disk.crash(random));
            let mut names = Sim::list(folder).await.unwrap();
            names.sort();
            names
        });
        assert_ne!(
            names.contains(&"a".into()),
            names.contains(&"renamed".into())
        );
        seen.insert(names);
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

impl SimFile {
    /// A new file.
    async fn create(folder: &Path, name: &str) -> SimFile {
        <SimFile as File>::create(&folder.join(name)).await.unwrap()
    }
}

/// Scenario: the disk has room for 1,000 bytes; then writes and syncs fail.
/// Guarantee: each says so with the system's own error; what fitted is there.
#[test]
fn a_disk_says_what_fails() {
    simulate(1, async {
        let file = SimFile::create(Path::new("/"), "file").await;
        disk(|disk, _| disk.faults.capacity = Some(1_000));
        file.write_at(0, vec![1; 900]).await.unwrap();
        file.sync().await.unwrap();
        let full = file.write_at(900, vec![1; 200]).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(file.size().unwrap(), 1_000);

        disk(|disk, _| {
            (disk.faults.capacity, disk.faults.write, disk.faults.sync) = (None, 1.0, 1.0);
        });
        let failed = file.write_at(0, vec![2; 900]).await.unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(libc::EIO));
        assert_eq!(
            file.sync().await.unwrap_err().raw_os_error(),
            Some(libc::EIO)
        );
        disk(|disk, random| {
            disk.faults = Default::default();
            assert!(disk.rot("file", random).is_some());
            assert!(disk.rot("nothing", random).is_none());
        });
        let read = file.read_at(0, 2_000).await.unwrap();
        assert!(read.len() >= 900);
    });
}

/// Scenario: all tasks wait for something that never comes.
/// Guarantee: that is said at once, instead of a test that hangs.
#[test]
#[should_panic(expected = "nothing will happen any more")]
fn a_deadlock_is_told() {
    simulate(0, std::future::pending::<()>());
}
