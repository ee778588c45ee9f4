//! A line with latency: what is read and written comes out at the other end so much later, however the bytes are cut.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What may be under way in one direction; more waits at its sender, as in a full window.
const WINDOW: usize = 256 * 1024;

/// Bytes under way in one direction, each part with the moment of its arrival.
struct Flight {
    parts: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    timer: Pin<Box<Sleep>>,
}

impl Flight {
    fn new() -> Self {
        Self { parts: VecDeque::new(), bytes: 0, timer: Box::pin(sleep(Duration::ZERO)) }
    }

    fn depart(&mut self, arrival: Instant, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.parts.push_back((arrival, bytes.to_vec()));
    }

    /// Ready once the first part has arrived; wakes the task when that is later.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(&(arrival, _)) = self.parts.front() else { return Poll::Pending };
        if arrival <= Instant::now() {
            return Poll::Ready(());
        }
        if self.timer.deadline() != arrival {
            self.timer.as_mut().reset(arrival);
        }
        self.timer.as_mut().poll(cx)
    }

    /// Takes so many bytes off the first part.
    fn land(&mut self, count: usize) {
        self.bytes -= count;
        if let Some((_, part)) = self.parts.front_mut() {
            part.drain(..count);
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
    }
}

/// The host's end of a connection.
pub struct Line {
    stream: TcpStream,
    one_way: Duration,
    inbound: Flight,
    outbound: Flight,
    /// The other end has said that nothing more comes.
    ended: bool,
}

impl Line {
    /// What came while the connection was being made has its way behind it already.
    pub fn new(stream: TcpStream, one_way: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let mut line = Self { stream, one_way, inbound: Flight::new(), outbound: Flight::new(), ended: false };
        let mut early = [0; 16 * 1024];
        if let Ok(count) = line.stream.try_read(&mut early) {
            line.ended = count == 0;
            if count > 0 {
                line.inbound.depart(Instant::now(), &early[..count]);
            }
        }
        Ok(line)
    }

    /// Hands to the network what has arrived at its far end.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbound.parts.is_empty() {
            ready!(self.outbound.poll_arrival(cx));
            let Some((_, part)) = self.outbound.parts.front() else { break };
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, part))?;
            self.outbound.land(count);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut room = [0; 16 * 1024];
        while !self.ended && self.inbound.bytes < WINDOW {
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer)? {
                Poll::Ready(()) if buffer.filled().is_empty() => self.ended = true,
                Poll::Ready(()) => self.inbound.depart(Instant::now() + self.one_way, buffer.filled()),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Whoever waits for an answer is who gets the question on its way.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        this.poll_receive(cx)?;
        if this.inbound.parts.is_empty() {
            return if this.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        ready!(this.inbound.poll_arrival(cx));
        let count = this.inbound.parts.front().map_or(0, |(_, part)| part.len().min(buffer.remaining()));
        if let Some((_, part)) = this.inbound.parts.front() {
            buffer.put_slice(&part[..count]);
        }
        this.inbound.land(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.one_way.is_zero() && this.outbound.parts.is_empty() {
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        }
        if this.outbound.bytes >= WINDOW {
            ready!(this.poll_send(cx))?;
        }
        this.outbound.depart(Instant::now() + this.one_way, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
