//! What the containers of the recipes may do: the services that run rsctl, mongod or HAProxy have only the capabilities that
//! they need, and a limit of processes.

use super::page::Page;

const MONGOD_CAPABILITIES: [&str; 4] = ["CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID"];

/// The lines of one entry of a file of YAML, by its key at two spaces or at the margin.
fn entry(file: &str, key: &str) -> Vec<String> {
    let text = Page::read(file).text;
    let is_start = |line: &str| line.trim_start().starts_with(&format!("{key}:"));
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines().skip_while(|line| depth(line) > 2 || !is_start(line));
    let start = lines.next().unwrap_or_else(|| panic!("{file} has no {key}"));
    let inside = lines.take_while(|line| line.trim().is_empty() || depth(line) > depth(start));
    inside.map(|line| line.split(" #").next().unwrap().trim().to_owned()).collect()
}

/// The values of a list, in either form that YAML has.
fn list(lines: &[String], key: &str) -> Vec<String> {
    let Some(at) = lines.iter().position(|line| line.starts_with(&format!("{key}:"))) else { return Vec::new() };
    let inline = lines[at].split_once('[').map(|(_, rest)| rest.trim_end_matches(']').split(", "));
    match inline {
        Some(values) => values.map(|value| value.trim_matches('"').to_owned()).collect(),
        None => lines[at + 1..].iter().map_while(|line| line.strip_prefix("- ")).map(str::to_owned).collect(),
    }
}

fn has_pids_limit(lines: &[String]) -> bool {
    let limit = |line: &String| line.strip_prefix("pids_limit: ").or(line.strip_prefix("pids: "))?.parse::<u32>().ok();
    lines.iter().any(|line| limit(line).is_some_and(|limit| limit > 0))
}

#[test]
fn services_beside_mongod_have_no_capabilities_and_a_limit_of_processes() {
    for (file, service) in [
        ("deploy/swarm/stack.yml", "rsctl"),
        ("deploy/compose/compose.yml", "rsctl"),
        ("deploy/apps/compose-init.yml", "mongo-url"),
        ("deploy/apps/uri-file.yml", "uri"),
        ("deploy/haproxy/stack.yml", "door"),
        ("deploy/haproxy/apps.yml", "balancer"),
        ("deploy/monitoring/stack.yml", "prometheus"),
        ("deploy/monitoring/grafana.yml", "grafana"),
    ] {
        let lines = entry(file, service);
        assert_eq!(list(&lines, "cap_drop"), ["ALL"], "{file}: {service}");
        assert_eq!(list(&lines, "cap_add"), [""; 0], "{file}: {service}");
        assert!(has_pids_limit(&lines), "{file}: {service} has no limit of pids");
        let read_only = lines.iter().any(|line| line == "read_only: true");
        assert!(
            read_only || ["door", "balancer", "grafana"].contains(&service),
            "{file}: {service} may write to its image"
        );
    }
}

#[test]
fn mongod_has_the_capabilities_of_its_entrypoint_and_a_limit_of_processes() {
    for (file, service) in [("deploy/swarm/stack.yml", "mongo"), ("deploy/compose/compose.yml", "x-mongod")] {
        let lines = entry(file, service);
        assert_eq!(list(&lines, "cap_drop"), ["ALL"], "{file}");
        assert_eq!(list(&lines, "cap_add"), MONGOD_CAPABILITIES, "{file}");
        assert!(has_pids_limit(&lines), "{file} has no limit of pids");
    }
}

#[test]
fn the_maker_of_the_key_may_only_give_it_away() {
    let lines = entry("deploy/compose/auth.yml", "keyfile");
    assert_eq!(list(&lines, "cap_drop"), ["ALL"]);
    assert_eq!(list(&lines, "cap_add"), ["CHOWN"]);
    assert!(has_pids_limit(&lines) && lines.iter().any(|line| line == "network_mode: none"));
}

/// `docker stack deploy` ignores `security_opt` with a warning, so only files for Compose have it.
#[test]
fn no_new_privileges_is_set_where_docker_takes_it() {
    for (file, service, takes_it) in [
        ("deploy/compose/compose.yml", "x-mongod", true),
        ("deploy/compose/compose.yml", "rsctl", true),
        ("deploy/compose/auth.yml", "keyfile", true),
        ("deploy/apps/compose-init.yml", "mongo-url", true),
        ("deploy/swarm/stack.yml", "mongo", false),
        ("deploy/swarm/stack.yml", "rsctl", false),
    ] {
        let option = list(&entry(file, service), "security_opt");
        let expected = if takes_it { vec!["no-new-privileges:true"] } else { Vec::new() };
        assert_eq!(option, expected, "{file}: {service}");
    }
}
