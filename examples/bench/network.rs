//! An address behind which nothing answers any more, as when a container's network is gone.

use std::net::Ipv4Addr;
use std::process::Command;

/// Packets to this address vanish as long as it lives.
pub(crate) struct BlackHole(Ipv4Addr);

impl BlackHole {
    /// None where this machine has no packet filter that we may use.
    pub(crate) fn dig(ip: Ipv4Addr) -> Option<Self> {
        let hole = Self(ip);
        hole.rule("-I").then_some(hole)
    }

    fn rule(&self, action: &str) -> bool {
        let rule = [action, "INPUT", "-d", &self.0.to_string(), "-j", "DROP"].map(str::to_owned);
        Command::new("iptables").arg("-w").args(rule).output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.rule("-D");
    }
}
