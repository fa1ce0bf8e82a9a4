//! Mongods that demand TLS, and a user with a password.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mongodb::bson::oid::ObjectId;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rsctl::publish::Status;

use crate::cluster::{Cluster, LIMIT, PORT, is_settled};
use crate::support::dns::{Answer, DnsServer};
use crate::support::mongods::{Mongod, MongodOptions, free_ip};

/// A certificate authority, and a directory with the certificates that it signed.
pub struct Papers {
    authority: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Papers {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("rsctl-tls-{}", ObjectId::new()));
        std::fs::create_dir(&dir).unwrap();
        // Two authorities of one name confuse OpenSSL.
        let mut params = named(&format!("authority {}", ObjectId::new()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
        Self { authority, dir }
    }

    pub fn authority(&self) -> String {
        self.dir.join("ca.pem").display().to_string()
    }

    /// A file with the content of these files.
    pub fn file(&self, name: &str, of: &[&str]) -> String {
        let text: String = of.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let path = self.dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A file with a certificate and its key, in the form that MongoDB needs. The certificate is for these IPs.
    pub fn signed_for(&self, ips: &[IpAddr]) -> String {
        self.signed(ips.iter().map(|ip| SanType::IpAddress(*ip)).collect())
    }

    /// The same for DNS names.
    pub fn signed_for_names(&self, names: &[&str]) -> String {
        self.signed(names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect())
    }

    /// The arguments of a mongod that has this certificate, and accepts only TLS and only clients with a certificate.
    pub fn demanded(&self, certificate: &str) -> Vec<String> {
        let values = ["requireTLS", certificate, &self.authority()];
        let names = ["--tlsMode", "--tlsCertificateKeyFile", "--tlsCAFile"];
        names.iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// A file for this IP that expires in so many days. A negative number is in the past.
    pub fn expiring(&self, ip: IpAddr, days: i64) -> String {
        let mut params = named("client");
        params.subject_alt_names = vec![SanType::IpAddress(ip)];
        let now = SystemTime::now();
        let length = Duration::from_secs(days.unsigned_abs() * 86_400);
        params.not_before = (now - Duration::from_secs(100 * 86_400)).into();
        params.not_after = if days < 0 { now - length } else { now + length }.into();
        self.sign(params)
    }

    fn signed(&self, names: Vec<SanType>) -> String {
        let mut params = named("client");
        params.subject_alt_names = names;
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> String {
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

/// Parameters with this subject name. Each certificate needs its own: a certificate with the name of its issuer looks
/// self-signed.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Three mongods that accept only TLS, and only clients with a certificate.
async fn strict(papers: &Papers) -> Cluster {
    strict_with(papers, |_, ip| papers.signed_for(&[ip])).await
}

/// The same with certificates that the test makes. Members check only the signature of each other's certificates, not
/// the names: the test is about the controller's check of names.
async fn strict_with(papers: &Papers, certificate: impl Fn(usize, IpAddr) -> String) -> Cluster {
    let mut nodes = Vec::new();
    for n in 0..3 {
        let place = MongodOptions::at(free_ip(PORT), PORT);
        let mut args = papers.demanded(&certificate(n, place.ip.into()));
        args.push("--tlsAllowInvalidHostnames".to_owned());
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
        (&[], "accepts connections and closes them"),
        (&shows_none, "accepts connections and closes them"),
        (&distrusts, "TLS failed: none of the trusted authorities"),
    ];
    for (settings, said) in cases {
        let controller = cluster.controller(settings);
        let says = |note: &Option<String>| note.as_deref().is_some_and(|note| note.contains(said));
        let told = |s: &Status| s.others.len() == 3 && s.others.iter().all(|o| says(&o.note));
        let status = controller.until(said, LIMIT, told).await;
        assert!(status.primary.is_none() && status.members.is_empty(), "{status:?}");
    }
}

fn name(n: usize) -> String {
    format!("member{n}.example")
}

/// The address of a task is not known when its certificate is made, so the certificate has a name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_counts_for_the_one_address_that_its_name_leads_to() {
    let papers = Papers::new();
    let cluster = strict_with(&papers, |n, _| papers.signed_for_names(&[&name(n), "other.example"])).await;
    let (authority, own) = (papers.authority(), papers.signed_for(&[]));
    let trusted =
        [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", authority.as_str()), ("RSCTL_TLS_CERT_KEY_FILE", own.as_str())];
    let controller = cluster.controller(&trusted);
    let refused = |s: &Status| {
        let says = |note: &Option<String>| note.as_deref().is_some_and(|note| note.contains("neither valid for"));
        s.others.iter().filter(|o| says(&o.note)).count() == 3
    };
    let ips: Vec<IpAddr> = cluster.nodes.iter().map(|node| node.ip().into()).collect();
    controller.until("names that lead nowhere", LIMIT, refused).await;
    for (n, _) in ips.iter().enumerate() {
        cluster.dns.set_both(&name(n), Answer::Records(vec![ips[(n + 1) % 3]]));
    }
    // The controller asks each mongod again after one second, so this is long enough.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    controller.until("names that lead to another", LIMIT, refused).await;
    for n in 0..3 {
        cluster.dns.set_both(&name(n), Answer::Records(ips.clone()));
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    controller.until("names that lead to all of them", LIMIT, refused).await;
    for (n, ip) in ips.iter().enumerate() {
        cluster.dns.set_both(&name(n), Answer::Records(vec![*ip]));
    }
    controller.until("a settled set", LIMIT, is_settled(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_the_service_s_own_name_counts_for_each_of_its_tasks() {
    let papers = Papers::new();
    let shared = papers.signed_for_names(&["tasks.mongo"]);
    let cluster = strict_with(&papers, |_, _| shared.clone()).await;
    let (authority, own) = (papers.authority(), papers.signed_for(&[]));
    let trusted =
        [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", authority.as_str()), ("RSCTL_TLS_CERT_KEY_FILE", own.as_str())];
    let controller = cluster.controller(&trusted);
    controller.until("a settled set", LIMIT, is_settled(3)).await;
}

/// Whether a finding contains all of these words.
fn finds(status: &Status, words: &[&str]) -> bool {
    status.findings.iter().any(|finding| words.iter().all(|word| finding.text.contains(word)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_read_again_when_its_file_changes_and_its_end_is_foretold() {
    let papers = Papers::new();
    let mut cluster = strict_with(&papers, |n, ip| papers.expiring(ip, if n == 0 { 20 } else { 200 })).await;
    let (authority, own) = (papers.authority(), papers.expiring(IpAddr::from([127, 0, 0, 1]), 300));
    let trusted =
        [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", authority.as_str()), ("RSCTL_TLS_CERT_KEY_FILE", own.as_str())];
    let controller = cluster.controller(&trusted);
    let first = cluster.nodes[0].address().to_string();
    let warned = |s: &Status| is_settled(3)(s) && finds(s, &[&first, "expires at"]);
    let status = controller.until("a settled set and a warning", LIMIT, warned).await;
    let of = |of: &str| status.certificates.iter().filter(|certificate| certificate.of == of).count();
    assert_eq!([of("controller"), of("authority"), of("node")], [1, 1, 3], "{:?}", status.certificates);
    let metrics = controller.get("/metrics").await.unwrap();
    assert!(metrics.contains(&format!("rsctl_certificate_expiry_timestamp_seconds{{of=\"node\",at=\"{first}\"}}")));

    // An unusable file is named, and the old one works on: also for new connections, as to a mongod that restarts.
    std::fs::write(&own, "").unwrap();
    controller.until("the empty file", LIMIT, |s| finds(s, &[&own, "is empty", "held before"])).await;
    let secondary = cluster.nodes.iter().position(|n| Some(n.address().to_string()) != status.primary).unwrap();
    cluster.nodes[secondary].kill();
    controller.until("a member that is down", LIMIT, |s| s.members.iter().any(|m| !m.healthy)).await;
    cluster.nodes[secondary].restart().await.unwrap();
    controller.until("the member again", LIMIT, is_settled(3)).await;

    // A new one counts without a restart of the controller.
    std::fs::copy(papers.expiring(IpAddr::from([127, 0, 0, 1]), 5), &own).unwrap();
    let near = |s: &Status| finds(s, &["the certificate of rsctl", &own, "expires at"]) && !finds(s, &["is empty"]);
    let status = controller.until("the new certificate", LIMIT, near).await;
    assert_eq!(status.health, rsctl::publish::Health::Degraded, "within seven days somebody must act");
    std::fs::copy(papers.expiring(IpAddr::from([127, 0, 0, 1]), 300), &own).unwrap();
    controller.until("a renewed certificate", LIMIT, |s| !finds(s, &["the certificate of rsctl"])).await;
    assert!(!controller.log().contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_that_refuses_an_expired_certificate_says_so_and_nothing_begins() {
    let papers = Papers::new();
    let cluster = strict(&papers).await;
    let (authority, own) = (papers.authority(), papers.expiring(IpAddr::from([127, 0, 0, 1]), -1));
    let trusted =
        [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", authority.as_str()), ("RSCTL_TLS_CERT_KEY_FILE", own.as_str())];
    let controller = cluster.controller(&trusted);
    let told = |s: &Status| finds(s, &["the certificate of rsctl", &own, "expired at"]) && s.others.len() == 3;
    let status = controller.until("the end of the certificate", LIMIT, told).await;
    assert!(status.primary.is_none() && status.members.is_empty(), "{status:?}");
}
