//! Logs to stderr, as text for a terminal or as JSON for log collectors. `docs/reference/logs.md` has every line.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Text, one line for each event.
    Text,
    /// JSON, one object for each event.
    Json,
}

impl LogFormat {
    /// Every format with its name in the settings.
    pub const CHOICES: [(&str, Self); 3] = [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

/// Starts logging for the lifetime of the process. A second call has no effect.
pub fn start(level: LevelFilter, format: LogFormat, colour: bool) {
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // This fails only if logging has started before.
    let _ = subscriber(level, json, terminal && colour, io::stderr).try_init();
}

/// What writes the lines.
pub(crate) fn subscriber<W>(level: LevelFilter, json: bool, colour: bool, to: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(to);
    let layer = if json {
        layer.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        layer.with_ansi(colour).with_target(false).boxed()
    };
    // From libraries only warnings and errors are logged, whatever level is set for rsctl.
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("rsctl", level);
    tracing_subscriber::registry().with(layer.with_filter(filter))
}
