//! `rsctl readdress`: gives the members host names instead of IP addresses, or the other way round.

use super::follow::follow;
use crate::admin::AdminEndpoint;
use crate::client::controller;
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome, note};
use crate::plan::{Readdressing, readdressing};
use crate::publish::Status;
use crate::runtime::Runtime;
use crate::settings::{Behaviour, ReaddressSettings};
use std::fmt::Write;
use tokio::time::Instant;

pub(super) async fn readdress(settings: ReaddressSettings) -> Outcome {
    let deadline = Instant::now() + settings.wait;
    let left = match observe(&settings).await {
        Ok(left) => left,
        Err(outcome) => return outcome,
    };
    if left.is_empty() {
        note(format_args!("nothing to do: no task is a member with another kind of address than {}", settings.to));
        return Outcome::silent(Exit::Ok);
    }
    let shown = Outcome::print(if settings.dry_run { Exit::Degraded } else { Exit::Ok }, &table(&left));
    if settings.dry_run || shown.exit != Exit::Ok {
        return shown;
    }
    let nowhere: Vec<String> = left.iter().filter(|r| r.to.is_none()).map(|r| r.from.to_string()).collect();
    if !nowhere.is_empty() {
        let why = format!("no address of this kind leads to {}, so nothing is done", nowhere.join(", "));
        return Outcome::because(Exit::Refused, why);
    }
    match controller::post(&settings.admin, &format!("/v1/readdress?to={}", settings.to)).await {
        Ok(answer) if answer.code == 202 => {}
        Ok(answer) => return Outcome::because(Exit::Failed, answer.line()),
        Err(error) => return Outcome::error(Exit::Failed, &error),
    }
    let still = |left: &[Readdressing]| {
        let hosts: Vec<String> = left.iter().map(|r| r.from.to_string()).collect();
        format!("not moved yet: {}", hosts.join(", "))
    };
    follow(&settings.admin, deadline, left, has_moved, still).await
}

/// The members to change, by an observation of this command: the controller does not resolve names that it does not need.
async fn observe(settings: &ReaddressSettings) -> Result<Vec<Readdressing>, Outcome> {
    let runtime = Runtime::new(&settings.nodes, &Behaviour::on_request_only())
        .map_err(|error| Outcome::error(Exit::Failed, &error))?;
    runtime.requests().readdress(settings.to);
    let (observed, plan) = runtime.reconciler().once().await;
    if plan.config.is_none() {
        let waiting: Vec<String> = plan.waiting.iter().map(ToString::to_string).collect();
        let why = format!("no members are known; waiting: {}", plain(&waiting.join("; ")));
        return Err(Outcome::because(Exit::Failed, why));
    }
    Ok(readdressing(&observed, runtime.policy(), settings.to))
}

fn table(left: &[Readdressing]) -> String {
    let mut text = String::new();
    for Readdressing { from, to, .. } in left {
        // Writing to a string cannot fail.
        let _ = match to {
            Some(to) => writeln!(text, "move {from} to {to}"),
            None => writeln!(text, "stuck: {from}: no such address leads to it"),
        };
    }
    text
}

/// Whether the member has its new address. Writes a note if it has.
fn has_moved(status: &Status, Readdressing { id, from, to }: &Readdressing) -> bool {
    let Some(to) = to else { return false };
    let has = status.members.iter().any(|m| m.id == id.0 && m.host == to.to_string());
    if has {
        note(format_args!("{from} is now {to}"));
    }
    has
}
