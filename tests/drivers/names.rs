//! The hosts file of the applications, in place of Swarm's DNS: it has the addresses of the mongods.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, hosts_file};
use crate::support::mongods::{Mongod, write_hosts};

/// Mounts the file as `/etc/hosts`, then runs the rest of the arguments.
const MOUNT: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;

/// A hosts file. It is deleted when dropped.
pub struct Hosts(PathBuf);

impl Hosts {
    pub fn write(cluster: &Cluster) -> Self {
        let port = cluster.dns.address().port();
        let hosts = Self(std::env::temp_dir().join(format!("rsctl-hosts-{}-{port}", std::process::id())));
        hosts.follow(&cluster.nodes.iter().map(Mongod::ip).collect::<Vec<_>>());
        hosts
    }

    /// Sets the addresses of the names.
    pub fn follow(&self, ips: &[Ipv4Addr]) {
        write_hosts(&self.0, &hosts_file(ips));
    }

    /// The command that runs a program with this hosts file.
    pub fn words(&self) -> Vec<&Path> {
        ["unshare", "-m", "sh", "-c", MOUNT, "sh"].iter().map(Path::new).chain([self.0.as_path()]).collect()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
