//! `/metrics` in the text format of Prometheus, version 0.0.4.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Served;
use crate::publish::{Counts, FindingLevel, Listing, MemberStatus, Snapshot, Status};

pub(super) async fn metrics(State(served): State<Served>) -> Response {
    let newest = served.newest();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let observed_at = now.saturating_sub(newest.observed_at.elapsed()).as_secs_f64();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(&newest, observed_at)).into_response()
}

fn render(snapshot: &Snapshot, observed_at: f64) -> String {
    let Snapshot { status, counts, .. } = snapshot;
    let mut page = Page(String::new());
    page.gauge("rsctl_info", "Version of rsctl and name of the replica set.", {
        [(labels(&[("version", env!("CARGO_PKG_VERSION")), ("set", &status.set)]), 1)]
    });
    page.gauge("rsctl_ready", "Whether applications can start: a primary, and all members listed.", {
        [(String::new(), u8::from(status.ready()))]
    });
    page.gauge("rsctl_term", "Election term.", status.term.map(|term| (String::new(), term)));
    page.gauge("rsctl_config_version", "Version of the replica set config.", {
        status.config_version.map(|version| (String::new(), version))
    });
    page.gauge(
        "rsctl_can_lose",
        "Voters that the set can lose, whichever they are, and still take majority writes.",
        status.margin.as_ref().map(|margin| (String::new(), margin.can_lose)),
    );
    members(&mut page, status);
    if let Some(Listing { tasks, members_missing }) = snapshot.listing {
        page.gauge("rsctl_dns_tasks", "Tasks that DNS lists.", [(String::new(), tasks)]);
        page.gauge("rsctl_dns_missing_members", "Members without a task in DNS.", [(String::new(), members_missing)]);
    }
    page.gauge("rsctl_paused", "Whether an operator's pause holds back all steps.", {
        [(String::new(), u8::from(status.pause.is_some()))]
    });
    page.gauge("rsctl_waiting", "Conditions that the controller waits for.", {
        [(String::new(), status.waiting.len())]
    });
    page.gauge("rsctl_findings", "Problems that an operator should know, by severity.", {
        [("warning", FindingLevel::Warning), ("error", FindingLevel::Error)].map(|(name, severity)| {
            let count = status.findings.iter().filter(|finding| finding.severity == severity).count();
            (labels(&[("severity", name)]), count)
        })
    });
    page.gauge("rsctl_certificate_expiry_timestamp_seconds", "End of a certificate as a Unix timestamp.", {
        let certificates = status.certificates.iter();
        certificates.map(|known| (labels(&[("of", &known.of), ("at", &known.at)]), known.expires_unix))
    });
    page.gauge("rsctl_last_observation_timestamp_seconds", "Time of the last observation as a Unix timestamp.", {
        [(String::new(), format!("{observed_at:.3}"))]
    });
    counters(&mut page, counts);
    page.0
}

fn members(page: &mut Page, status: &Status) {
    let mut states: BTreeMap<&str, u32> = BTreeMap::new();
    status.members.iter().for_each(|member| *states.entry(&member.state).or_default() += 1);
    page.gauge("rsctl_members", "Configured members by their state.", {
        states.into_iter().map(|(state, count)| (labels(&[("state", state)]), count))
    });
    let each = |value: fn(&MemberStatus) -> u8| {
        status.members.iter().map(move |member| (labels(&[("host", &member.host)]), value(member)))
    };
    page.gauge("rsctl_member_primary", "Whether the member is primary.", each(|m| u8::from(m.state == "PRIMARY")));
    page.gauge(
        "rsctl_member_healthy",
        "Whether the member has a state that fits its role in the config.",
        each(|m| m.healthy.into()),
    );
    page.gauge("rsctl_member_votes", "Votes of the member.", each(|m| m.votes));
    page.gauge("rsctl_member_lag_seconds", "Replication lag of the member behind the primary in seconds.", {
        let known = status.members.iter().filter_map(|m| Some((&m.host, m.lag_ms?)));
        known.map(|(host, ms)| (labels(&[("host", host)]), format!("{}.{:03}", ms / 1000, ms % 1000)))
    });
    page.gauge("rsctl_member_oplog_window_seconds", "How far back the oplog of the member reaches, in seconds.", {
        let known = status.members.iter().filter_map(|m| Some((&m.host, m.oplog_ms?)));
        known.map(|(host, ms)| (labels(&[("host", host)]), ms / 1000))
    });
}

fn counters(page: &mut Page, counts: &Counts) {
    page.counter(
        "rsctl_observations_total",
        "Observations of the replica set.",
        [(String::new(), counts.observations())],
    );
    page.counter("rsctl_waits_total", "Observations after which the controller waited for something.", {
        [(String::new(), counts.waits())]
    });
    page.counter("rsctl_steps_total", "Started steps, by the rule that proposed them.", {
        counts.steps().map(|(rule, count)| (labels(&[("rule", rule)]), count))
    });
    page.counter("rsctl_steps_failed_total", "Steps that failed, by the rule that proposed them.", {
        counts.failures().map(|(rule, count)| (labels(&[("rule", rule)]), count))
    });
    page.counter("rsctl_vetoes_total", "Observations in which a proposed step was not safe.", {
        [(String::new(), counts.vetoes())]
    });
    page.counter("rsctl_uri_changes_total", "Connection strings that were published, each different from the last.", {
        [(String::new(), counts.uri_changes())]
    });
}

struct Page(String);

impl Page {
    fn gauge<V: Display>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, V)>) {
        self.family(name, "gauge", help, samples);
    }

    fn counter<V: Display>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, V)>) {
        self.family(name, "counter", help, samples);
    }

    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::publish::status::tests::healthy;
    use crate::publish::{CertificateStatus, Status};

    fn page(status: Status) -> String {
        render(&Snapshot::new(status), 1_700_000_000.25)
    }

    #[test]
    fn the_set_is_told_in_numbers() {
        let mut status = healthy();
        status.members[2].lag_ms = Some(12_034);
        status.members[1].lag_ms = None;
        let certificate = |of: &str, at: &str| CertificateStatus {
            of: of.to_owned(),
            at: at.to_owned(),
            expires: "2023-11-14T22:13:20Z".to_owned(),
            expires_unix: 1_700_000_000,
        };
        status.certificates = vec![certificate("authority", "/run/secrets/mongo-ca"), certificate("node", "m1:27017")];
        let page = page(status);
        for line in [
            "rsctl_info{version=\"0.1.0\",set=\"rs\"} 1",
            "rsctl_ready 1",
            "rsctl_term 3",
            "rsctl_config_version 5",
            "rsctl_members{state=\"PRIMARY\"} 1",
            "rsctl_members{state=\"SECONDARY\"} 2",
            "rsctl_member_primary{host=\"mongo-node1:27017\"} 1",
            "rsctl_member_primary{host=\"mongo-node2:27017\"} 0",
            "rsctl_member_votes{host=\"mongo-node3:27017\"} 1",
            "rsctl_member_lag_seconds{host=\"mongo-node3:27017\"} 12.034",
            "rsctl_member_oplog_window_seconds{host=\"mongo-node1:27017\"} 93600",
            "rsctl_findings{severity=\"error\"} 0",
            "rsctl_last_observation_timestamp_seconds 1700000000.250",
            "rsctl_observations_total 0",
            "rsctl_certificate_expiry_timestamp_seconds{of=\"authority\",at=\"/run/secrets/mongo-ca\"} 1700000000",
            "rsctl_certificate_expiry_timestamp_seconds{of=\"node\",at=\"m1:27017\"} 1700000000",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} in\n{page}");
        }
        assert!(!page.contains("lag_seconds{host=\"mongo-node2"), "what is not known is not there");
    }

    /// The rules that `promtool check metrics` checks, as far as they can be broken here.
    fn lint(page: &str) {
        assert!(page.ends_with('\n'));
        let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).unwrap();
            assert!(help.ends_with('.') && families.insert(name), "{line}");
            let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.starts_with("rsctl_") && name.chars().all(allowed), "{name}");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().strip_prefix(name).unwrap().trim();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                let rest = sample.strip_prefix(name).unwrap();
                let (labels, value) = rest.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{sample}");
                assert!(series.insert(format!("{name}{labels}")), "{sample} twice");
                if !labels.is_empty() {
                    check_labels(labels);
                }
            }
        }
        assert!(families.len() > 10);
    }

    fn check_labels(text: &str) {
        let mut rest = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap();
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"").unwrap();
            assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{text}");
            let mut escaped = false;
            let end = after.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = &after[end.unwrap() + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }

    #[test]
    fn prometheus_can_read_it_whatever_a_member_is_called() {
        lint(&page(healthy()));
        lint(&page(Status::before_any_observation(&"rs".parse().unwrap(), 3)));
        let mut status = healthy();
        status.members[0].host = "a\"b\\c\nd{e=\"f\"}:1".to_owned();
        status.members[1].state = "a \"new\"\\ state".to_owned();
        lint(&page(status));
    }
}
