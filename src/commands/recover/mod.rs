//! `rsctl recover`: shows what is known about a replica set without a primary, and recovers it. A recovery that loses
//! writes needs the operator's consent.

mod executor;
mod show;

use crate::cli::Output;
use crate::model::RecoveryRequest;
use crate::outcome::plain;
use crate::outcome::{Exit, Outcome, note};
use crate::publish::{RecoveryStatus, Status, VerdictWord};
use crate::settings::RecoverSettings;
use executor::{Executor, RecoveryOutcome};
use tokio::time::Instant;

pub(super) async fn recover(settings: RecoverSettings) -> Outcome {
    let deadline = Instant::now() + settings.wait;
    let (executor, status) = match Executor::find(&settings).await {
        Ok(found) => found,
        Err(outcome) => return outcome,
    };
    let Some(recovery) = &status.recovery else { return nothing_to_do(&status) };
    let shown = show(&settings, &status, recovery);
    if shown.exit != Exit::Ok {
        return shown;
    }
    let request = match requested(&settings, &status, recovery) {
        Ok(request) => request,
        Err(outcome) => return outcome,
    };
    if let Some(request) = &request
        && let Err(refused) = executor.request(request).await
    {
        note(plain(&refused));
    }
    let RecoveryOutcome { status, dropped } = match executor.follow(request.as_ref(), deadline).await {
        Ok(followed) => followed,
        Err(outcome) => return outcome,
    };
    if let Some(primary) = &status.primary {
        note(format_args!("{} is primary", plain(primary)));
        return Outcome::silent(Exit::Ok);
    }
    let Some(reason) = dropped else {
        let waiting = status.waiting.join("; ");
        let wait = settings.wait;
        let why = format_args!("no primary after {wait:?}; waiting: {}", plain(&waiting)).to_string();
        return Outcome::because(Exit::TimedOut, why);
    };
    if let Some(recovery) = &status.recovery {
        let shown = show(&settings, &status, recovery);
        if shown.exit != Exit::Ok {
            return shown;
        }
    }
    Outcome::because(Exit::Refused, plain(&reason))
}

/// The end when there is a primary, or when the status has no evidence.
fn nothing_to_do(status: &Status) -> Outcome {
    match &status.primary {
        Some(primary) => {
            note(format_args!("nothing to recover: {} is primary", plain(primary)));
            Outcome::silent(Exit::Ok)
        }
        None => Outcome::because(
            Exit::Failed,
            "the controller has no evidence for a recovery: `rsctl status` shows what it waits for",
        ),
    }
}

fn show(settings: &RecoverSettings, status: &Status, recovery: &RecoveryStatus) -> Outcome {
    match settings.output {
        Output::Table => Outcome::print(Exit::Ok, &show::table(status, recovery)),
        Output::Json => match serde_json::to_string(recovery) {
            Ok(json) => Outcome::print(Exit::Ok, &(json + "\n")),
            Err(error) => Outcome::error(Exit::Failed, &error),
        },
    }
}

/// The request to send, or `None` if the members elect a primary themselves. The error is the end of the command.
fn requested(
    settings: &RecoverSettings,
    status: &Status,
    recovery: &RecoveryStatus,
) -> Result<Option<RecoveryRequest>, Outcome> {
    let reasons = || plain(&recovery.reasons.join("; "));
    match recovery.verdict {
        VerdictWord::Refused => return Err(Outcome::because(Exit::Refused, reasons())),
        VerdictWord::Unknown => return Err(Outcome::because(Exit::Failed, reasons())),
        _ if settings.dry_run => return Err(Outcome::silent(Exit::Degraded)),
        VerdictWord::Primary | VerdictWord::Electing => return Ok(None),
        VerdictWord::Automatic | VerdictWord::Safe | VerdictWord::Loss => {}
    }
    let accepted = settings.accepts_loss_of.as_ref();
    if accepted.is_some_and(|set| set.as_str() != status.set) {
        let why = format!(
            "the name of the replica set is {}, so nothing is done: give this name to accept",
            plain(&status.set)
        );
        return Err(Outcome::because(Exit::Refused, why));
    }
    let Ok(evidence) = recovery.evidence.parse() else {
        return Err(Outcome::because(
            Exit::Failed,
            "the ID of the controller's evidence is not valid: run this with the version of the controller",
        ));
    };
    if settings.evidence.is_some_and(|shown| shown != evidence) {
        return Err(Outcome::because(
            Exit::Refused,
            "the evidence has changed since it was shown, so nothing is done: run `rsctl recover` and read the new one",
        ));
    }
    let loses = recovery.verdict == VerdictWord::Loss;
    if loses && (accepted.is_none() || settings.evidence.is_none()) {
        return Err(Outcome::because(
            Exit::Refused,
            "a recovery would lose writes and this is not accepted, so nothing is done: accept it with --accept-data-loss \
             SET --evidence ID, as shown above",
        ));
    }
    Ok(Some(RecoveryRequest { evidence, accepts_loss_of: accepted.filter(|_| loses).cloned() }))
}
