//! An address that no longer answers, as after a container's network is removed.

use std::net::Ipv4Addr;
use std::process::Command;

/// Drops all packets to this address, and for a lost machine also those from it, until this value is dropped.
pub(crate) struct BlackHole {
    ip: Ipv4Addr,
    sides: &'static [&'static str],
}

impl BlackHole {
    /// Drops the packets to `ip`. `None` if this machine has no usable packet filter. Packets from `ip` still arrive.
    pub(crate) fn dig(ip: Ipv4Addr) -> Option<Self> {
        let hole = Self { ip, sides: &["-d"] };
        hole.rules("-I").then_some(hole)
    }

    /// Drops the packets from `ip` too. Connections that its process opens are not affected: on loopback they come from
    /// another address.
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
