//! The connection under an answer: whole, slow, cut short, reset or never there.
//! It knows bytes and time; what to say was decided before.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::connect_info::Connected,
    http::header::CONTENT_LENGTH,
    response::{IntoResponse, Response},
    serve::{IncomingStream, Listener},
};
use futures::stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::{exchange::Answer, faults::Fault};

/// Sends an answer the way a fault wants it sent.
pub async fn deliver(answer: Answer, fault: Option<Fault>, cut: &Cut) -> Response {
    let Some(fault) = fault else {
        return respond(answer, Body::from);
    };
    sleep(fault.delay()).await;
    if fault.hang {
        std::future::pending::<Infallible>().await;
    }
    if fault.reset {
        cut.0.store(true, Ordering::Relaxed);
    }
    match (fault.truncate_at, fault.drip_bytes_per_second) {
        (Some(bytes), _) => respond(answer, |body| truncated(body, bytes)),
        (None, Some(rate)) => respond(answer, |body| dripping(body, rate)),
        (None, None) => respond(answer, Body::from),
    }
}

fn respond(answer: Answer, body: impl FnOnce(Bytes) -> Body) -> Response {
    let mut response = Response::builder()
        .status(answer.status)
        .header(CONTENT_LENGTH, answer.body.len());
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    // Only a scripted fault can hold a status or a header that HTTP does not allow.
    response.body(body(answer.body)).unwrap_or_else(|error| {
        (axum::http::StatusCode::BAD_GATEWAY, error.to_string()).into_response()
    })
}

/// The pause lets the bytes before the cut reach the client.
fn truncated(body: Bytes, bytes: usize) -> Body {
    let sent = body.slice(..bytes.min(body.len()));
    Body::from_stream(stream::unfold(Some(sent), |sent| async {
        match sent {
            Some(sent) => Some((Ok(sent), None)),
            None => {
                sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None))
            }
        }
    }))
}

/// Ten portions a second.
fn dripping(body: Bytes, bytes_per_second: usize) -> Body {
    let portion = (bytes_per_second / 10).max(1);
    let pause = Duration::from_secs_f64(portion as f64 / bytes_per_second.max(1) as f64);
    Body::from_stream(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        sleep(pause).await;
        let next = rest.split_to(portion.min(rest.len()));
        Some((Ok::<_, Infallible>(next), rest))
    }))
}

/// A listener whose connections can be reset from the handler of a request.
pub struct CuttableListener(pub TcpListener);

/// Cuts the connection it came with: whatever is written next becomes a reset.
#[derive(Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

pub struct CuttableStream {
    stream: TcpStream,
    cut: Cut,
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers should not wait for an acknowledgement; where this cannot be set they are
        // only slower.
        let _ = stream.set_nodelay(true);
        (
            CuttableStream {
                stream,
                cut: Cut::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cut.clone()
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.0.load(Ordering::Relaxed) {
            // Closing with nothing left to linger for is what sends a reset instead of an orderly
            // end.
            self.stream.set_zero_linger()?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
