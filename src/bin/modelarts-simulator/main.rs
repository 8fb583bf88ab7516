//! `modelarts-simulator`: the documented API of ModelArts resource pools, served for real on this
//! machine. It is a stand-in for demos and tests; it never talks to any cloud and ships no real
//! key.

use std::{
    io::{IsTerminal, Write, stderr, stdin, stdout},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use futures::future::OptionFuture;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tracing::{info, level_filters::LevelFilter};
use tracing_subscriber::EnvFilter;

mod accounts;
mod args;
mod catalogue;
mod changes;
mod cloud;
mod control;
mod exchange;
mod faults;
mod fleet;
mod gateway;
mod iam;
mod life;
mod pools_api;
mod selector;
mod server;
mod wire;

use crate::{
    accounts::Accounts,
    args::Args,
    cloud::{Cloud, Shared},
};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_env_filter(filter)
        .init();
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "modelarts-simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let sample = serde_json::from_str(include_str!("vendor-sample.json"))
        .context("parse the vendor's sample")?;
    let mut cloud = Cloud::new(Accounts::new(args.accounts()?, args.lock_for()), sample);
    cloud.seed(args.pools, args.seed);

    let bind = async |address| {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("listen on {address}"))
    };
    let (api, control) = (bind(args.listen).await?, bind(args.control).await?);
    let url = |listener: &TcpListener| {
        listener
            .local_addr()
            .map(|address| format!("http://{address}"))
    };
    let (api_url, control_url) = (url(&api)?, url(&control)?);
    writeln!(
        stdout(),
        "{}",
        json!({"api": api_url, "control": control_url})
    )?;
    stdout().flush()?;
    info!(
        api_url,
        control_url,
        pools = args.pools,
        "simulator listens; GET the control address for its manual"
    );

    let mut terminated = signal(SignalKind::terminate())?;
    let stdin_closed = args
        .until_stdin_closes
        .then(watch_stdin)
        .transpose()
        .context("watch standard input")?;
    let stdin_closed = OptionFuture::from(stdin_closed);
    let stop = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
            _ = stdin_closed, if args.until_stdin_closes => {}
        }
    };
    server::serve(Shared::new(cloud), api, control, args.life(), stop)
        .await
        .context("serve")
}

/// Resolves when standard input ends. A thread of its own, because a read of standard input cannot
/// be cancelled and would hold up the end of the runtime.
fn watch_stdin() -> std::io::Result<oneshot::Receiver<()>> {
    let (closed, wait) = oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        let _ = std::io::copy(&mut stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    })?;
    Ok(wait)
}
