//! Sockets: every wait for a client has an end.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming as Body};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::line::{Line, Lines};
use super::reader::{Reader, Shared};
use super::tls::Tls;
use crate::app::clock;
use crate::app::exit::{Exit, Failure, Outcome};
use crate::web::request::{Incoming, MAX_BODY};
use crate::web::response::Response;

/// For a request's head, for its body, for a TLS handshake.
const WAIT: Duration = Duration::from_secs(10);
/// The greatest head of a request; what is longer is 431.
const MAX_HEAD: usize = 8 << 10;
/// A connection takes no new request after this long; browsers open another one.
const LIFE: Duration = Duration::from_secs(30);
/// And it is over after this much more, however slowly the other side reads.
const GRACE: Duration = Duration::from_secs(30);
/// Answers that are made at once.
const AT_ONCE: usize = 4;
/// What is under way at the end has this long.
const LAST: Duration = Duration::from_secs(5);

/// Takes the address.
///
/// # Errors
/// [`Exit::Failed`] with who may have it.
pub fn bind(at: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(at).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(|error| {
        let next = match error.kind() {
            ErrorKind::AddrInUse => format!("; see who has it: ss -ltnp 'sport = :{}', or give --listen", at.port()),
            ErrorKind::PermissionDenied => "; ports under 1024 are root's: take a higher one, or a proxy".to_owned(),
            ErrorKind::AddrNotAvailable => "; this machine has no such address, see: ip addr".to_owned(),
            _ => String::new(),
        };
        Failure::new(Exit::Failed, format!("cannot listen on {at}: {error}{next}"))
    })
}

/// Serves until a signal.
///
/// # Errors
/// [`Exit::Failed`] where threads or signals cannot be had.
pub fn serve(listener: TcpListener, tls: Option<Tls>, shared: Arc<Shared>) -> Outcome {
    let broken = |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot serve: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(AT_ONCE).build();
    let runtime = runtime.map_err(broken)?;
    let served = runtime.block_on(accept(listener, tls, shared)).map_err(broken);
    // A look into the store that is under way ends by itself.
    runtime.shutdown_timeout(LAST);
    served.map(|()| Exit::Done)
}

async fn accept(listener: TcpListener, mut tls: Option<Tls>, shared: Arc<Shared>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    let (lines, turns) = (Lines::default(), Arc::new(Semaphore::new(AT_ONCE)));
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let (stream, peer) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Out of descriptors, or the client is gone already: neither is ours to end for.
                log::debug!("accept: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let line = lines.open(peer.ip());
        let id = line.id();
        let talk = Talk {
            shared: Arc::clone(&shared),
            turns: Arc::clone(&turns),
            line: Arc::new(line),
            peer: peer.ip(),
            stopped: stopped.clone(),
        };
        let acceptor = tls.as_mut().map(Tls::acceptor);
        let task = tokio::spawn(async move {
            match acceptor {
                None => talk.over(stream).await,
                Some(acceptor) => match timeout(WAIT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => talk.over(stream).await,
                    Ok(Err(error)) => log::debug!("{peer}: TLS: {error}"),
                    Err(_) => log::debug!("{peer}: TLS: nothing came"),
                },
            }
        });
        lines.held_by(id, task.abort_handle());
    }
    drop(listener);
    let _ = stop.send(true);
    let empty = async {
        while lines.count() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(LAST, empty).await;
    Ok(())
}

/// One connection.
struct Talk {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    line: Arc<Line>,
    peer: IpAddr,
    stopped: watch::Receiver<bool>,
}

impl Talk {
    async fn over<S: AsyncRead + AsyncWrite + Unpin>(mut self, stream: S) {
        let peer = self.peer;
        let mut stopped = std::mem::replace(&mut self.stopped, watch::channel(false).1);
        let talk = Arc::new(self);
        let service = service_fn(move |request| {
            let talk = Arc::clone(&talk);
            async move { Ok::<_, Infallible>(talk.answer(request).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(WAIT).max_buf_size(MAX_HEAD);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = sleep(LIFE) => None,
            _ = stopped.wait_for(|stop| *stop) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match timeout(GRACE, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return log::debug!("{peer}: reads too slowly"),
                }
            }
        };
        if let Err(error) = ended {
            log::debug!("{peer}: {error}");
        }
    }

    async fn answer(&self, request: hyper::Request<Body>) -> hyper::Response<Full<Bytes>> {
        let response = self.make(request).await;
        self.line.answered();
        response
    }

    async fn make(&self, request: hyper::Request<Body>) -> hyper::Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = match timeout(WAIT, Limited::new(body, MAX_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes().to_vec(),
            Ok(Err(_)) => return refused(413, "the body is too long, or it broke off"),
            Err(_) => return refused(408, "the body did not come in time"),
        };
        self.line.asks();
        let headers = head.headers.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        let incoming = Incoming {
            method: head.method.as_str().to_owned(),
            authority: head.uri.authority().map(ToString::to_string),
            target: head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string),
            headers: headers.collect(),
            body,
            peer: self.peer,
            now: clock::now(),
        };
        let Ok(Ok(turn)) = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await else {
            return refused(503, "too much to do right now; try again in a moment");
        };
        let shared = Arc::clone(&self.shared);
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            shared.site().answer(&incoming, &mut Reader::new(&shared, incoming.now))
        });
        made.await.map_or_else(
            |error| {
                log::error!("an answer broke off: {error}");
                refused(500, "this cannot be shown; the server's log tells why")
            },
            sent,
        )
    }
}

fn refused(status: u16, text: &str) -> hyper::Response<Full<Bytes>> {
    let response = Response::text(status, format!("{text}\n")).with("connection", "close");
    sent(crate::web::response::finish(response, crate::web::response::Wishes::default()))
}

fn sent(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(*name, value.as_str());
    }
    let made = builder.body(Full::new(Bytes::from(response.body)));
    made.unwrap_or_else(|error| {
        log::error!("an answer cannot be sent: {error}");
        let mut plain = hyper::Response::new(Full::default());
        *plain.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}
