//! An address behind which nothing answers any more, as when a container's network is gone.

use std::net::Ipv4Addr;
use std::process::Command;

/// Packets to this address, and from it should its machine be lost, vanish as long as this lives.
pub(crate) struct BlackHole {
    ip: Ipv4Addr,
    sides: &'static [&'static str],
}

impl BlackHole {
    /// None where this machine has no packet filter that we may use. What was sent from there still arrives.
    pub(crate) fn dig(ip: Ipv4Addr) -> Option<Self> {
        let hole = Self { ip, sides: &["-d"] };
        hole.rules("-I").then_some(hole)
    }

    /// Nothing arrives from there either, but what its own calls send: on loopback those come from another address.
    pub(crate) fn silence(ip: Ipv4Addr) -> Option<Self> {
        let hole = Self { ip, sides: &["-d", "-s"] };
        hole.rules("-I").then_some(hole)
    }

    fn rules(&self, action: &str) -> bool {
        self.sides.iter().all(|side| {
            let rule = [action, "INPUT", side, &self.ip.to_string(), "-j", "DROP"].map(str::to_owned);
            Command::new("iptables").arg("-w").args(rule).output().is_ok_and(|output| output.status.success())
        })
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.rules("-D");
    }
}
