//! How old an observation may be when a command that follows from it is sent.
//!
//! **Invariant:** after the controller was frozen (`SIGSTOP`, an overloaded host), it sends no command that follows
//! from an observation before the freeze. The clock is `CLOCK_MONOTONIC`, which continues while the process is stopped.
//! A freeze cannot be measured if a hypervisor stops the clock of the whole machine.

use crate::model::{Host, Lock, Probe, ProbeError, ProcessId, ReplConfig};
use crate::mongo::{Admin, Error};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How long after the end of an observation a command may be sent. This time covers the plan and the checks before a
/// forced reconfig, which take at most one second.
const ACT_WITHIN: Duration = Duration::from_secs(2);

/// The age of one observation, measured from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    began: Instant,
    phase_began: Instant,
    /// How long the observation may have taken: for each phase, at most the phase's deadline.
    allowed: Duration,
}

impl Age {
    /// Starts the observation now.
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { began: now, phase_began: now, allowed: Duration::ZERO }
    }

    /// Ends a phase of the observation that may take until `deadline`. A longer time is a freeze, and counts as age.
    pub(super) fn end_phase(&mut self, deadline: Duration) {
        let now = Instant::now();
        self.allowed += now.duration_since(self.phase_began).min(deadline);
        self.phase_began = now;
    }

    /// Whether a command that follows from the observation may still be sent.
    fn check(&self) -> Result<(), Error> {
        let age = self.began.elapsed();
        if age > self.allowed + ACT_WITHIN { Err(Error::ObservationTooOld(age.as_millis())) } else { Ok(()) }
    }
}

/// The mongods as one step sees them. The step can ask at any time, but it can send commands only while its observation
/// is recent. The age is checked just before each command is sent, after all other checks.
pub(super) struct WhileRecent<'a, A> {
    pub(super) admin: &'a A,
    pub(super) age: Age,
}

impl<A: Admin> Admin for WhileRecent<'_, A> {
    async fn probe(&self, at: SocketAddr, limit: Duration) -> Result<Probe, ProbeError> {
        self.admin.probe(at, limit).await
    }

    async fn listens(&self, at: SocketAddr) -> bool {
        self.admin.listens(at).await
    }

    async fn initiate(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.age.check()?;
        self.admin.initiate(at, config).await
    }

    async fn reconfig(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.age.check()?;
        self.admin.reconfig(at, config).await
    }

    async fn force(&self, at: SocketAddr, config: &ReplConfig) -> Result<(), Error> {
        self.age.check()?;
        self.admin.force(at, config).await
    }

    async fn step_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.age.check()?;
        self.admin.step_up(at).await
    }

    async fn sync_from(&self, at: SocketAddr, source: &Host) -> Result<(), Error> {
        self.age.check()?;
        self.admin.sync_from(at, source).await
    }

    async fn write_noop(&self, at: SocketAddr) -> Result<(), Error> {
        self.age.check()?;
        self.admin.write_noop(at).await
    }

    async fn abort_catch_up(&self, at: SocketAddr) -> Result<(), Error> {
        self.age.check()?;
        self.admin.abort_catch_up(at).await
    }

    async fn fsync(&self, at: SocketAddr) -> Result<(), Error> {
        self.age.check()?;
        self.admin.fsync(at).await
    }

    async fn take_lock(&self, at: SocketAddr, lock: &Lock) -> Result<(), Error> {
        self.age.check()?;
        self.admin.take_lock(at, lock).await
    }

    async fn take_over_lock(&self, at: SocketAddr, stale: &Lock, lock: &Lock) -> Result<(), Error> {
        self.age.check()?;
        self.admin.take_over_lock(at, stale, lock).await
    }

    async fn release_lock(&self, at: SocketAddr) -> Result<(), Error> {
        self.age.check()?;
        self.admin.release_lock(at).await
    }

    async fn mark_removed(&self, at: SocketAddr, process: ProcessId) -> Result<(), Error> {
        self.age.check()?;
        self.admin.mark_removed(at, process).await
    }

    fn keep_only(&self, addresses: &BTreeSet<SocketAddr>) {
        self.admin.keep_only(addresses);
    }
}
