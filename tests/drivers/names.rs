//! The applications' own hosts file, in place of Swarm's DNS: names lead to wherever the mongods are.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, hosts_file};
use crate::support::mongods::{Mongod, write_hosts};

/// Has the words after it see the file as theirs.
const MOUNT: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;

/// Gone when dropped.
pub struct Hosts(PathBuf);

impl Hosts {
    pub fn write(cluster: &Cluster) -> Self {
        let port = cluster.dns.address().port();
        let hosts = Self(std::env::temp_dir().join(format!("rsctl-hosts-{}-{port}", std::process::id())));
        hosts.follow(&cluster.nodes.iter().map(Mongod::ip).collect::<Vec<_>>());
        hosts
    }

    /// Names lead to these addresses from now on.
    pub fn follow(&self, ips: &[Ipv4Addr]) {
        write_hosts(&self.0, &hosts_file(ips));
    }

    /// What to put before a program that is to see it.
    pub fn words(&self) -> Vec<&Path> {
        ["unshare", "-m", "sh", "-c", MOUNT, "sh"].iter().map(Path::new).chain([self.0.as_path()]).collect()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
