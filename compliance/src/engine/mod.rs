//! A container engine for Complement: the part of the
//! [Docker Engine API](https://docs.docker.com/reference/api/engine/version/v1.48/) that it calls, where each container
//! is a server of ours that runs on this machine.
//!
//! [`api`] reads calls and writes answers, [`ledger`] knows what there is, [`container`] is one server.

mod addresses;
mod api;
mod certificate;
mod container;
mod hosts;
mod labels;
mod launch;
mod ledger;
mod logs;
mod process;
mod proxy;
mod usage;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};

use self::ledger::Ledger;

/// What is served: everything there is, and where it lies.
pub struct Engine {
    ledger: Mutex<Ledger>,
    folder: TempDir,
    serve: PathBuf,
}

impl Engine {
    /// An engine without containers.
    pub fn new() -> Result<Arc<Self>> {
        let folder = tempfile::Builder::new().prefix("compliance-").tempdir()?;
        let serve = repository()?.join("local/serve");
        let ledger = Mutex::new(Ledger::new(folder.path().to_owned()));
        Ok(Arc::new(Self { ledger, folder, serve }))
    }

    /// A folder that lasts as long as the engine.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Answers calls at this socket for ever.
    pub async fn serve(self: Arc<Self>, socket: &Path) -> Result<()> {
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("{} cannot be had", socket.display()))?;
        Ok(axum::serve(listener, api::service(self)).await?)
    }

    /// Ends every server.
    pub async fn close(&self) {
        for container in self.ledger.lock().await.containers() {
            container.kill().await;
        }
    }
}

/// Serves until somebody asks for an end.
pub async fn serve_until_told(socket: &Path) -> Result<()> {
    let engine = Engine::new()?;
    let served = tokio::select! {
        served = engine.clone().serve(socket) => served,
        told = until_told() => told,
    };
    engine.close().await;
    std::fs::remove_file(socket).ok();
    served
}

/// Resolves when this process is asked to end.
pub async fn until_told() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// The root of this repository.
pub fn repository() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("compliance lies in no repository")
}
