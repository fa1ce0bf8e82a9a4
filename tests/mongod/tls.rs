//! Mongods that demand TLS, and a user with a password.

use std::net::IpAddr;
use std::path::PathBuf;

use mongodb::bson::oid::ObjectId;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rsctl::publish::Status;

use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::dns::DnsServer;
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

/// A certification authority, and what it has signed, in a directory of its own.
struct Papers {
    authority: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Papers {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("rsctl-tls-{}", ObjectId::new()));
        std::fs::create_dir(&dir).unwrap();
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
        Self { authority, dir }
    }

    fn authority(&self) -> String {
        self.dir.join("ca.pem").display().to_string()
    }

    /// Certificate and key in one file, as MongoDB wants them.
    fn signed_for(&self, ips: &[IpAddr]) -> String {
        let mut params = named("client");
        params.subject_alt_names = ips.iter().map(|ip| SanType::IpAddress(*ip)).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let file = self.dir.join(format!("{}.pem", ObjectId::new()));
        std::fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
        file.display().to_string()
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A subject that has its issuer's name looks like its own issuer.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Three that speak TLS only, to processes_with_data of a certificate only.
async fn strict(papers: &Papers) -> Cluster {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let place = MongodOptions::at(free_ip(PORT), PORT);
        let certificate = papers.signed_for(&[place.ip.into()]);
        let args = ["requireTLS", &certificate, &papers.authority()];
        let names = ["--tlsMode", "--tlsCertificateKeyFile", "--tlsCAFile"];
        let args = names.iter().zip(args).map(|(name, value)| format!("{name}={value}")).collect();
        nodes.push(Mongod::start(MongodOptions { args, ..place }).await.unwrap());
    }
    let cluster = Cluster { dns: DnsServer::start().await, nodes };
    cluster.list_all();
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_demands_tls_begins_and_fails_over() {
    let papers = Papers::new();
    let mut cluster = strict(&papers).await;
    let (authority, own) = (papers.authority(), papers.signed_for(&[IpAddr::from([127, 0, 0, 1])]));
    let trusted =
        [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", authority.as_str()), ("RSCTL_TLS_CERT_KEY_FILE", own.as_str())];
    let controller = cluster.controller(&trusted);
    let status = controller.until("a settled set", LIMIT, is_settled(3)).await;
    let (old, primary) = (status.primary.clone(), cluster.primary(&status));
    cluster.nodes[primary].kill();
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_missing_or_not_trusted_is_named_and_nothing_begins() {
    let (papers, others) = (Papers::new(), Papers::new());
    let cluster = strict(&papers).await;
    let (right, wrong, own) = (papers.authority(), others.authority(), papers.signed_for(&[]));
    let distrusts = [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", &wrong), ("RSCTL_TLS_CERT_KEY_FILE", &own)];
    let shows_none = [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", &right)];
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[], "closes the connection"),
        (&shows_none, "closes the connection"),
        (&distrusts, "TLS failed: I/O error: invalid peer certificate"),
    ];
    for (settings, said) in cases {
        let controller = cluster.controller(settings);
        let says = |note: &Option<String>| note.as_deref().is_some_and(|note| note.contains(said));
        let told = |s: &Status| s.others.len() == 3 && s.others.iter().all(|o| says(&o.note));
        let status = controller.until(said, LIMIT, told).await;
        assert!(status.primary.is_none() && status.members.is_empty(), "{status:?}");
    }
}
