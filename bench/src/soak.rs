//! `firefly-bench soak`: kills what works on a log, again and again, and checks that nothing is lost or half there.
//!
//! Half of the kills come at random, the others (in debug builds) at places where a crash is most awkward. What is killed is
//! a process that only appends, unless the whole of Firefly is asked for, a copy, or a backup.

mod appends;
mod backups;
mod check;
mod copies;
mod death;
mod journal;
mod kills;
mod whole;
mod writer;

use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::report::{self, Figure};
use kills::Kills;

pub use writer::{Args as WriterArgs, run as write};

/// Where a commit is cut short, by name in the event store.
const COMMIT_POINTS: [&str; 3] = ["before-append", "between-write-and-commit", "after-commit"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often a process is killed; 200 times without it, fewer in a quick run.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    kills: Option<u32>,
    /// Kill 40 times at the most, done within 50 seconds.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object for each figure instead of a sentence.
    #[arg(long)]
    json: bool,
    /// Kill the whole of Firefly while clients send it commands over HTTP; the program beside this one is run.
    #[arg(long, conflicts_with_all = ["copy", "backup", "postgres"])]
    whole: bool,
    /// Kill `firefly log copy` until it has copied everything.
    #[arg(long, conflicts_with_all = ["backup", "acknowledge_early"])]
    copy: bool,
    /// Kill `firefly log backup` beside a process that appends.
    #[arg(long, conflicts_with_all = ["postgres", "acknowledge_early"])]
    backup: bool,
    /// Keep the log, or the copy, in a private PostgreSQL server instead of a SQLite file.
    #[arg(long)]
    postgres: bool,
    /// Acknowledge before the commit: a fault that the check must find.
    #[arg(long)]
    acknowledge_early: bool,
    /// Look at an old backup instead of each new one: a fault that the check must find.
    #[arg(long, requires = "backup")]
    keep_old: bool,
}

/// What was seen of a log that survived.
#[derive(Debug)]
struct Survived {
    words: String,
    figures: Vec<Figure>,
}

/// Kills, starts again and checks.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let mut kills = Kills::new(args.kills, args.quick);
    let survived = if args.whole {
        whole::run(&mut kills, args.acknowledge_early).await
    } else if args.copy {
        copies::run(&mut kills, args.postgres).await
    } else if args.backup {
        backups::run(&mut kills, args.keep_old).await
    } else {
        appends::run(&mut kills, args.postgres, args.acknowledge_early).await
    }?;
    if args.json {
        let first = Figure::count("kills survived", kills.done(), "kills");
        let figures: Vec<_> = [first].into_iter().chain(survived.figures).collect();
        report::print_json(&figures);
    } else {
        println!("{} kills: {}", kills.done(), survived.words);
    }
    Ok(())
}

/// The real program, which cargo puts beside this one.
fn firefly() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()
        .context("cannot find this program's own file")?
        .with_file_name("firefly");
    ensure!(
        program.is_file(),
        "there is no {}; build it first, with all of the workspace",
        program.display()
    );
    Ok(program)
}
