//! Controllers with one safety rule switched off, to show that the checker would notice.

use super::ports::Port;
use rsctl::model::{Host, Lock, Probe, ProbeError, ReplConfig};
use rsctl::mongo::{Admin, Error};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The controller as it is.
    None,
}

/// The door to mongods, bent by a mutant.
pub struct Warped {
    pub port: Port,
    pub mutant: Mutant,
}

impl Admin for Warped {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        self.port.probe(at, limit).await
    }

    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.port.initiate(at, config).await
    }

    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.port.reconfig(at, config).await
    }

    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.port.force(at, config).await
    }

    async fn step_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.step_up(at).await
    }

    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error> {
        self.port.sync_from(at, source).await
    }

    async fn end_catch_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.end_catch_up(at).await
    }

    async fn fsync(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.fsync(at).await
    }

    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error> {
        self.port.take_lock(at, lock).await
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        self.port.take_over_lock(at, stale, lock).await
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        self.port.release_lock(at).await
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        self.port.keep_only(addresses);
    }
}
