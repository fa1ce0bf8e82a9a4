//! From no TLS to TLS, and from one authority to another, on a set that runs and that an application writes to. It is the
//! guide in `docs/guides/login-and-tls.md`, by restarts of one member after the other.

use std::net::IpAddr;
use std::time::Duration;

use rsctl::publish::Status;

use crate::changes::writing;
use crate::cluster::{Cluster, LIMIT, is_settled};
use crate::support::controller::Controller;
use crate::support::writer::{MajorityWriter, majority_writer};
use crate::tls::Papers;

/// A switchover takes 0.1 s on an idle machine. A write that is under way at the change may get no answer within the writer's
/// own limit of 3 s: see `switchover.rs`.
const GAP_MAX: Duration = Duration::from_secs(4);

/// Restarts the members one after the other with other arguments. Another one leads before the primary stops.
async fn roll(cluster: &mut Cluster, controller: &Controller, what: &str, args: impl Fn(IpAddr) -> Vec<String>) {
    let status = controller.until(&format!("a settled set before {what}"), LIMIT, is_settled(3)).await;
    let primary = cluster.primary(&status);
    for n in (1..=3).map(|n| (primary + n) % 3) {
        let status = controller.until(&format!("a settled set during {what}"), LIMIT, is_settled(3)).await;
        if cluster.primary(&status) == n {
            let asked = controller.run(&["switchover", "--admin", &controller.admin_url()]).await.unwrap();
            assert!(asked.status.success(), "{what}: {asked:?}");
        }
        cluster.nodes[n].stop().await.unwrap();
        controller.until("a member that is down", LIMIT, |s| s.members.iter().any(|m| !m.healthy)).await;
        let args = args(cluster.nodes[n].ip().into());
        cluster.nodes[n].restart_with_only(args).await.unwrap();
    }
    controller.until(&format!("a settled set after {what}"), LIMIT, is_settled(3)).await;
}

/// Every acknowledged write is there, and there was no longer gap than a switchover makes.
async fn check(writer: MajorityWriter, what: &str) {
    assert!(writer.next_acknowledged(LIMIT).await, "writes go on: {what}");
    let (tally, missing) = writer.finish().await.unwrap();
    println!("figures: {what}: {} writes, longest gap {:?}", tally.acknowledged.len(), tally.longest_gap);
    assert!(missing.is_empty(), "{what}: {missing:?}");
    assert!(tally.longest_gap < GAP_MAX, "{what}: {:?}, {:?}", tally.longest_gap, tally.last_error);
}

async fn writing_with_tls(controller: &Controller, ca: &str, database: &str) -> MajorityWriter {
    let uri = controller.get(&format!("/v1/uri?database={database}")).await.unwrap();
    let writer = majority_writer(&format!("{}&tls=true&tlsCAFile={ca}", uri.trim())).await.unwrap();
    assert!(writer.next_acknowledged(LIMIT).await, "writes are acknowledged");
    writer
}

fn options(mode: &str, certificate: &str, ca: &str) -> Vec<String> {
    vec![
        format!("--tlsMode={mode}"),
        format!("--tlsCertificateKeyFile={certificate}"),
        format!("--tlsCAFile={ca}"),
        "--tlsAllowConnectionsWithoutCertificates".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_gets_tls_and_then_another_authority_and_loses_no_write() {
    let (old, new) = (Papers::new(), Papers::new());
    let mut cluster = Cluster::blank(3).await;
    // What mongods, the controller and the application trust. A Swarm has a new secret for each content.
    let bundle = old.file("bundle.pem", &[&old.authority(), &new.authority()]);
    let trusted = old.file("trusted.pem", &[&old.authority()]);
    let own = old.file("own.pem", &[&old.signed_for(&[])]);

    let plain = cluster.controller(&[]);
    plain.until("a settled set", LIMIT, is_settled(3)).await;
    let writer = writing(&plain).await;
    for mode in ["allowTLS", "preferTLS"] {
        roll(&mut cluster, &plain, mode, |ip| options(mode, &old.signed_for(&[ip]), &old.authority())).await;
    }
    drop(plain);
    let settings =
        [("RSCTL_TLS", "true"), ("RSCTL_TLS_CA_FILE", trusted.as_str()), ("RSCTL_TLS_CERT_KEY_FILE", own.as_str())];
    let controller = cluster.controller(&settings);
    controller.until("the set, by TLS", LIMIT, is_settled(3)).await;
    let secured = writing_with_tls(&controller, &bundle, "tls").await;
    check(writer, "allowTLS, preferTLS").await;
    roll(&mut cluster, &controller, "requireTLS", |ip| options("requireTLS", &old.signed_for(&[ip]), &old.authority()))
        .await;

    // Everybody trusts both authorities before anybody shows a certificate of the new one.
    std::fs::copy(&bundle, &trusted).unwrap();
    roll(&mut cluster, &controller, "both authorities", |ip| options("requireTLS", &old.signed_for(&[ip]), &bundle))
        .await;
    roll(&mut cluster, &controller, "new certificates", |ip| options("requireTLS", &new.signed_for(&[ip]), &bundle))
        .await;
    std::fs::copy(new.signed_for(&[]), &own).unwrap();
    std::fs::copy(new.authority(), &trusted).unwrap();
    roll(&mut cluster, &controller, "one authority", |ip| {
        options("requireTLS", &new.signed_for(&[ip]), &new.authority())
    })
    .await;
    let calm = |s: &Status| is_settled(3)(s) && s.findings.is_empty();
    controller.until("nothing to complain of", LIMIT, calm).await;
    check(secured, "requireTLS, and another authority").await;
}
