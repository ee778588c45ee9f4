//! A simulated fleet: thousands of SSH hosts on loopback in one process, each on an address of its own, with latency, and
//! hostile in every way that a real sshd cannot be made to be. What a host does follows from the seed and its number.
//!
//! The hosts speak real SSH (russh) and the collector's real protocol, and seal what they hand over by the library's own
//! `wire`: whoever collects from them decrypts and stores. One listener serves all of 127.0.0.0/8, bound to `lo`.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "helpers of tests: each test uses some, and a failure is the test's"
)]

pub mod behaviour;
mod line;
mod probe;
mod raw;
mod session;
pub mod site;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::Config;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

pub use behaviour::Behaviour;
use behaviour::{Dice, spread};
use line::Line;
use probe::Disk;

/// The user whom every host lets in.
pub const USER: &str = "fleet";

/// What a fleet is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub hosts: usize,
    /// So many hosts with each of these manners; the others are good.
    pub odd: Vec<(Behaviour, usize)>,
    /// How long bytes are under way, in each direction; half of the round trip.
    pub one_way: Duration,
    /// Every probe that is asked for is in place already.
    pub deployed: bool,
    /// Key exchange by mlkem768x25519 instead of curve25519.
    pub post_quantum: bool,
    /// Threads that serve them.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        let (odd, one_way) = (Vec::new(), Duration::ZERO);
        Self { seed: 1, hosts: 1, odd, one_way, deployed: false, post_quantum: false, threads: 1 }
    }
}

/// One host.
pub struct Host {
    pub name: String,
    pub address: Ipv4Addr,
    pub port: u16,
    pub behaviour: Behaviour,
    /// Logins that were tried here.
    pub logins: AtomicU64,
    /// Connections that were made to it.
    pub connections: AtomicU64,
    known_key: PrivateKey,
    config: Arc<Config>,
    disk: Mutex<Disk>,
}

/// The whole fleet; it is gone when this is dropped.
pub struct Fleet {
    pub hosts: Arc<[Arc<Host>]>,
    login_key: PrivateKey,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    _nobody: TcpSocket,
    _hole: Hole,
}

impl Fleet {
    pub fn start(options: &Options) -> Self {
        let runtimes: Vec<tokio::runtime::Runtime> = (0..options.threads)
            .map(|_| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap())
            .collect();
        let mut port = 0;
        let listeners: Vec<TcpListener> = runtimes
            .iter()
            .map(|runtime| {
                let _entered = runtime.enter();
                let listener = socket(port).listen(4096).unwrap();
                port = listener.local_addr().unwrap().port();
                listener
            })
            .collect();
        let (nobody, hole) = (socket(0), Hole::new(&runtimes[0]));
        let mut dice = Dice(options.seed ^ 0xF1EE7);
        let login_key = key(&mut dice);
        let manners = spread(options.seed, options.hosts, &options.odd);
        let hosts: Arc<[Arc<Host>]> = manners
            .into_iter()
            .enumerate()
            .map(|(number, behaviour)| {
                let known_key = key(&mut dice);
                let shown = if behaviour == Behaviour::WrongKey { key(&mut dice) } else { known_key.clone() };
                Arc::new(Host {
                    name: format!("s{number:04}"),
                    address: address(number),
                    port: match behaviour {
                        Behaviour::Refuses => nobody.local_addr().unwrap().port(),
                        Behaviour::BlackHole => hole.port,
                        _ => port,
                    },
                    behaviour,
                    logins: AtomicU64::new(0),
                    connections: AtomicU64::new(0),
                    known_key,
                    config: Arc::new(session::config(shown, behaviour, options.post_quantum)),
                    disk: Mutex::new(Disk::new(number, options.deployed)),
                })
            })
            .collect();
        let stop = watch::Sender::new(false);
        let threads = runtimes
            .into_iter()
            .zip(listeners)
            .map(|(runtime, listener)| {
                let (hosts, one_way, mut ends) = (Arc::clone(&hosts), options.one_way, stop.subscribe());
                std::thread::spawn(move || {
                    runtime.block_on(async {
                        tokio::select! {
                            () = accept(listener, hosts, one_way) => {}
                            _ = ends.wait_for(|ended| *ended) => {}
                        }
                    });
                })
            })
            .collect();
        Self { hosts, login_key, stop, threads, _nobody: nobody, _hole: hole }
    }

    /// The private key that opens every host, as ssh-keygen writes it.
    pub fn login_key(&self) -> String {
        self.login_key.to_openssh(LineEnding::LF).unwrap().to_string()
    }

    /// Lines of known_hosts for all of them.
    pub fn known_hosts(&self) -> String {
        let line = |host: &Arc<Host>| {
            let key = host.known_key.public_key().to_openssh().unwrap();
            format!("[{}]:{} {}\n", host.address, host.port, key.trim())
        };
        self.hosts.iter().map(line).collect()
    }

    /// The first host with these manners.
    pub fn one(&self, behaviour: Behaviour) -> &Host {
        self.hosts.iter().find(|host| host.behaviour == behaviour).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Each its own, 250 to a network of 127.1.0.0 and after.
fn address(number: usize) -> Ipv4Addr {
    let part = |value: usize| u8::try_from(value).unwrap();
    Ipv4Addr::new(127, part(1 + number / 62_500), part(number / 250 % 250), part(number % 250 + 1))
}

fn number(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    let [_, a, b, c] = address.octets().map(usize::from);
    Some((a.checked_sub(1)? * 250 + b) * 250 + c.checked_sub(1)?)
}

fn key(dice: &mut Dice) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&dice.bytes()))
}

/// For every address of loopback and no other; on a port of its own where none is given, else beside those that have it.
fn socket(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind_device(Some(b"lo")).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)).unwrap();
    socket
}

/// A port that answers nobody: its queue is full, and the kernel drops what comes.
struct Hole {
    port: u16,
    _listener: TcpListener,
    _queued: std::net::TcpStream,
}

impl Hole {
    fn new(runtime: &tokio::runtime::Runtime) -> Self {
        let _entered = runtime.enter();
        let listener = socket(0).listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let queued = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        Self { port, _listener: listener, _queued: queued }
    }
}

async fn accept(listener: TcpListener, hosts: Arc<[Arc<Host>]>, one_way: Duration) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let host = stream.local_addr().ok().and_then(|at| hosts.get(number(at.ip())?).cloned());
                if let Some(host) = host {
                    tokio::spawn(serve(stream, host, one_way));
                }
            }
            // Descriptors may be few for a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Serves one connection; how it ends is its client's to find.
async fn serve(stream: TcpStream, host: Arc<Host>, one_way: Duration) {
    host.connections.fetch_add(1, Ordering::Relaxed);
    // The kernel makes the connection at once: what its three ways would take, and the first bytes with the third.
    tokio::time::sleep(one_way * 3).await;
    let Ok(line) = Line::new(stream, one_way) else { return };
    if raw::is_raw(host.behaviour) {
        let _ = raw::act(line, host.behaviour).await;
        return;
    }
    let visitor = session::Visitor::new(Arc::clone(&host));
    if let Ok(session) = russh::server::run_stream(Arc::clone(&host.config), line, visitor).await {
        let _ = session.await;
    }
}
