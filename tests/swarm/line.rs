//! A connection to another process of this program, which runs in an overlay network. A request is one line of JSON, and
//! so is its answer.

use std::fmt::Debug;
use std::io::{self, Write};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::Outcome;
use super::lab::Lab;

/// The limit of one answer. It is longer than the limit of any request.
const ANSWER_LIMIT: Duration = Duration::from_secs(180);

/// The client end. The other end stops when this is dropped, because its stdin closes.
pub(super) struct Line {
    _child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Line {
    /// Starts the program in a network, on a node. `word` selects what it serves.
    pub(super) fn enter(lab: &Lab, node: &str, network: &str, word: &str) -> Outcome<Self> {
        let mut command = lab.command(&lab.path("scripts/lab"));
        command.args(["inside", node, network]).arg(std::env::current_exe()?).args([word, lab.rsctl()]);
        command.stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        let questions = child.stdin.take().ok_or("the program has no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("the program has no stdout")?).lines();
        Ok(Self { _child: child, questions, answers })
    }

    pub(super) async fn ask<A: DeserializeOwned>(&mut self, question: &(impl Serialize + Debug)) -> Outcome<A> {
        let line = serde_json::to_string(question)? + "\n";
        self.questions.write_all(line.as_bytes()).await?;
        let answer = timeout(ANSWER_LIMIT, self.answers.next_line()).await;
        let answer =
            answer.map_err(|_| format!("gave up after {ANSWER_LIMIT:?} waiting for an answer to {question:?}"))?;
        let answer = answer?
            .ok_or_else(|| format!("the program in the overlay network ended before it answered {question:?}"))?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// The server end: answers requests from stdin until stdin closes. A request that cannot be parsed arrives as the error.
pub(super) async fn serve<Q: DeserializeOwned, A: Serialize>(
    mut answer: impl AsyncFnMut(Result<Q, String>) -> A,
) -> ExitCode {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = answer(serde_json::from_str(&line).map_err(|error| format!("not a request: {error}"))).await;
        let line = serde_json::to_string(&answer).unwrap_or_else(|error| format!("unwritable: {error}"));
        // The client has ended.
        if writeln!(io::stdout(), "{line}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
