//! Certificates that expire, and files for TLS that are not usable. No rule acts on them.

use super::Finding;
use super::finding::{CertificateTrouble, Urgency, Whose};
use super::situation::Situation;
use crate::model::{Certificate, CertificateOf, Host, Timeliness, Validity};
use std::net::SocketAddr;

pub(super) fn troubles(now: &Situation<'_>) -> Vec<Finding> {
    let seen = &now.observed.certificates;
    let files = seen.unusable.iter().cloned().map(|unusable| CertificateTrouble::Unusable {
        file: unusable.file,
        reason: unusable.reason,
        keeps_old: unusable.keeps_old,
    });
    let mut by_validity: Vec<(Validity, Timeliness, Whose)> = Vec::new();
    for Certificate { of, validity, now: time } in &seen.known {
        match of {
            CertificateOf::Controller(file) => by_validity.push((*validity, *time, Whose::Controller(file.clone()))),
            CertificateOf::Authorities(file) => by_validity.push((*validity, *time, Whose::Authorities(file.clone()))),
            // Members often share one certificate, and one finding about it is enough.
            CertificateOf::Node(at) => {
                let Some(host) = answering_at(now, *at) else { continue };
                let shared = by_validity.iter_mut().find_map(|(other, _, whose)| match whose {
                    Whose::Members(hosts) if other == validity => Some(hosts),
                    _ => None,
                });
                match shared {
                    Some(hosts) if hosts.contains(&host) => {}
                    Some(hosts) => hosts.push(host),
                    None => by_validity.push((*validity, *time, Whose::Members(vec![host]))),
                }
            }
        }
    }
    let times = by_validity.into_iter().filter_map(|(validity, time, whose)| trouble(validity, time, whose));
    files.chain(times).map(Finding::Certificate).collect()
}

fn trouble(Validity { from, until }: Validity, time: Timeliness, whose: Whose) -> Option<CertificateTrouble> {
    match time {
        Timeliness::Early => Some(CertificateTrouble::Early { whose, from }),
        Timeliness::Late => Some(CertificateTrouble::Expires { whose, until, urgency: Urgency::Late }),
        Timeliness::Left(left) => {
            Urgency::of(left).map(|urgency| CertificateTrouble::Expires { whose, until, urgency })
        }
    }
}

/// The address of the member that answers here, or else of the task.
fn answering_at(now: &Situation<'_>, at: SocketAddr) -> Option<Host> {
    let member = now.config.and_then(|config| now.observed.member_at(config, at));
    member.or_else(|| now.observed.nodes.keys().find(|host| now.observed.is_at(host, at))).cloned()
}
