//! The write gate: a layer around the Kubernetes client that lets nothing but reads through unless
//! this process leads, and cuts off what is under way when it may no longer lead.
//!
//! It closes by itself, by the clock: whoever was paused finds it closed, before it can do anything.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::{BoxError, Layer, Service};

/// Open until some time, which renewals put off. Clones are one gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<Instant>>);

/// The refusal of a write.
#[derive(Debug, thiserror::Error)]
#[error("not written, because this replica does not hold the Lease")]
pub struct Closed;

/// A service behind a gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl Gate {
    /// A gate that nobody closes, for a controller without other replicas.
    pub fn open() -> Self {
        const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        Self(Arc::new(watch::Sender::new(Instant::now() + FOR_GOOD)))
    }

    /// A gate that a renewal has yet to open.
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(Instant::now())))
    }

    /// Lets nothing through from now on, nor what is under way.
    pub fn close(&self) {
        self.hold_until(Instant::now());
    }

    /// Keeps it open until then.
    pub fn hold_until(&self, until: Instant) {
        self.0.send_replace(until);
    }

    /// Whether writes may begin now.
    pub fn is_open(&self) -> bool {
        Instant::now() < *self.0.borrow()
    }

    /// Waits until writes may begin.
    pub async fn opened(&self) {
        let mut until = self.0.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = until.wait_for(|until| Instant::now() < *until).await;
    }

    /// Waits until writes may no longer begin.
    pub async fn shut(&self) {
        let mut until = self.0.subscribe();
        loop {
            let known = *until.borrow_and_update();
            if Instant::now() >= known {
                return;
            }
            tokio::select! {
                () = sleep_until(known) => {}
                // The sender lives as long as `self`, so waiting cannot fail.
                _ = until.changed() => {}
            }
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: self.clone(),
            inner,
        }
    }
}

impl<S, B> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = http::Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let reads = request.method().is_safe();
        let answer = self.inner.call(request);
        let gate = self.gate.clone();
        Box::pin(async move {
            if reads {
                return answer.await.map_err(Into::into);
            }
            tokio::select! {
                // Looked at first, so that nothing is sent after a pause.
                biased;
                () = gate.shut() => Err(Closed.into()),
                answer = answer => answer.map_err(Into::into),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Answers after a while.
    struct Slow(Duration);

    impl Service<http::Request<Body>> for Slow {
        type Response = http::Response<()>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            let pause = tokio::time::sleep(self.0);
            Box::pin(async move {
                pause.await;
                Ok(http::Response::new(()))
            })
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    async fn ask(gate: &Gate, method: &str, takes: Duration) -> Result<(), BoxError> {
        let mut service = gate.layer(Slow(takes));
        let request = http::Request::builder().method(method);
        let request = request.body(Body::empty()).unwrap();
        service.call(request).await.map(|_| ())
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lets_reads_through_and_nothing_else() {
        let gate = Gate::closed();
        ask(&gate, "GET", seconds(1)).await.unwrap();
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let refused = ask(&gate, method, Duration::ZERO).await.unwrap_err();
            assert!(refused.is::<Closed>(), "{method}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_under_way_is_cut_off_when_the_gate_closes() {
        let (gate, begun) = (Gate::closed(), Instant::now());
        gate.hold_until(begun + seconds(10));
        ask(&gate, "PUT", seconds(9)).await.unwrap();
        let refused = ask(&gate, "PUT", seconds(9)).await.unwrap_err();
        assert!(refused.is::<Closed>());
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_that_is_closed_before_its_time_cuts_off_at_once() {
        let (gate, begun) = (Gate::open(), Instant::now());
        let closing = async {
            tokio::time::sleep(seconds(2)).await;
            gate.close();
        };
        let (refused, ()) = tokio::join!(ask(&gate, "PUT", seconds(9)), closing);
        assert!(refused.unwrap_err().is::<Closed>());
        assert_eq!(begun.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_lets_a_write_under_way_go_on() {
        let (gate, begun) = (Gate::closed(), Instant::now());
        gate.hold_until(begun + seconds(10));
        let renewal = async {
            tokio::time::sleep(seconds(5)).await;
            gate.hold_until(begun + seconds(15));
        };
        let (written, ()) = tokio::join!(ask(&gate, "PUT", seconds(14)), renewal);
        written.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_an_open_gate_goes_on_when_it_opens() {
        let gate = Gate::closed();
        let renewal = async {
            tokio::time::sleep(seconds(5)).await;
            gate.hold_until(Instant::now() + seconds(10));
        };
        tokio::join!(gate.opened(), renewal);
        assert!(gate.is_open());
        assert!(Gate::open().is_open());
    }
}
