//! The application with the Rust driver. `apps/writer.js` describes its output.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, WriteConcern};

use crate::support::report::Outcome;

/// The argument that makes this program the application.
pub const ENTER: &str = "write-as-an-application";

pub async fn write() -> ExitCode {
    match write_on().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn write_on() -> Outcome {
    let mut options = ClientOptions::parse(std::env::var("MONGO_URL")?).await?;
    options.write_concern = Some(WriteConcern::majority());
    let database = options.default_database.clone().ok_or("the URI has no database")?;
    let writes = Client::with_options(options)?.database(&database).collection(&std::env::var("COLLECTION")?);
    say(&format!("start {}", version()))?;
    for id in i64::try_from(now_ms()?)? * 1000.. {
        match writes.insert_one(doc! { "_id": id }).await {
            Ok(_) => say(&format!("{id} {}", now_ms()?))?,
            Err(error) => eprintln!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Prints a line. The application ends if its output is closed.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

pub fn now_ms() -> Outcome<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?)
}

/// The version of the driver in `Cargo.lock`.
fn version() -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split_once("name = \"mongodb\"\nversion = \"").map_or("unknown", |(_, after)| after);
    after.split('"').next().unwrap_or("unknown")
}
