//! `firefly-bench log --growth`: what one append costs while the log grows.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::Context;
use firefly_event_store::Expected;
use firefly_event_store::store::EVENTS_PER_APPEND_MAX;
use futures::{StreamExt, TryStreamExt};
use sqlx::{Connection, PgConnection};

use super::plot::{self, Line};
use super::{Args, Engine, Figures, Store, a_stream, appends, event};
use crate::report;

/// The length at which is measured first.
const FIRST: usize = 10_000;

/// Where a quick run stops at the latest.
const QUICK_EVENTS: usize = 1_000_000;

/// A quick run begins nothing that might end later than this.
const QUICK_TIME: Duration = Duration::from_secs(42);

/// Writers, and how often each of them appends at every length.
const LOADS: [(usize, usize); 2] = [(1, 2_000), (32, 250)];

/// Appends in flight while the log is made longer.
const FILLING: usize = 4;

/// The log that grows.
pub struct Log {
    pub engine: Engine,
    pub url: String,
}

/// What one append costs with so many writers, in milliseconds.
struct Cost {
    writers: usize,
    median: f64,
    p99: f64,
}

/// What was measured at one length of the log.
struct Step {
    events: usize,
    /// How busy the machine was just before.
    load: String,
    costs: Vec<Cost>,
}

/// Makes a log longer and longer, measures in between, and prints a table and a plot.
pub async fn run(log: &Log, args: &Args) -> anyhow::Result<()> {
    let begun = Instant::now();
    let most = if args.quick {
        args.events.min(QUICK_EVENTS)
    } else {
        args.events
    };
    let before = report::load()?;
    let store = firefly_event_store::open(&log.url).await?;
    let mut measured: Vec<Step> = Vec::new();
    let mut last_step = Duration::ZERO;
    for events in lengths(most) {
        // A step makes the log about three times as long, so it takes about three times as long as the one before.
        if args.quick && begun.elapsed() + last_step * 3 > QUICK_TIME {
            eprintln!("stopped before {events} events; there is no time for more");
            break;
        }
        let step = Instant::now();
        fill(&store, events).await?;
        log.settle().await?;
        measured.push(Step {
            events,
            load: report::load()?,
            costs: costs(&store).await?,
        });
        last_step = step.elapsed();
        if !args.json {
            eprintln!(
                "{events} events after {:.0} s",
                begun.elapsed().as_secs_f64()
            );
        }
    }
    let lines = lines(&measured);
    if let Some(file) = &args.svg {
        let title = format!("One append while the log grows, {}", log.engine.name());
        std::fs::write(file, plot::svg(&title, &lines))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let figures = figures(&measured);
    if args.json {
        figures.print(true);
        return Ok(());
    }
    println!(
        "{}, load {before} before, {} after\n",
        log.engine.name(),
        report::load()?
    );
    print!("{}\n{}", table(&measured), plot::text(&lines));
    Ok(())
}

/// 10,000, 30,000, 100,000 and so on, and at the end the length that was asked for.
fn lengths(most: usize) -> Vec<usize> {
    let decades = std::iter::successors(Some(FIRST), |length| length.checked_mul(10));
    let mut lengths: Vec<usize> = decades
        .flat_map(|length| [length, length.saturating_mul(3)])
        .take_while(|length| *length < most)
        .collect();
    lengths.push(most);
    lengths
}

async fn fill(store: &Store, events: usize) -> anyhow::Result<()> {
    let missing = events.saturating_sub(usize::try_from(store.head().borrow().number())?);
    futures::stream::iter(0..missing.div_ceil(EVENTS_PER_APPEND_MAX))
        .map(|_| async {
            let events = (0..EVENTS_PER_APPEND_MAX).map(|_| event()).collect();
            store.append(&a_stream(), Expected::NoStream, events).await
        })
        .buffer_unordered(FILLING)
        .try_for_each(|_| std::future::ready(Ok(())))
        .await
        .context("the log cannot be filled")
}

impl Log {
    /// Has everything on the disk that filling has left to write, so that no single append pays for that.
    async fn settle(&self) -> anyhow::Result<()> {
        match self.url.strip_prefix("sqlite:") {
            Some(path) => File::open(path)?.sync_all()?,
            None => {
                let mut connection = PgConnection::connect(&self.url).await?;
                sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
            }
        }
        Ok(())
    }
}

async fn costs(store: &Store) -> anyhow::Result<Vec<Cost>> {
    let mut costs = Vec::new();
    for (writers, each) in LOADS {
        let mut times = appends::counted(store, writers, each).await?;
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        costs.push(Cost {
            writers,
            median: at(50),
            p99: at(99),
        });
    }
    Ok(costs)
}

fn figures(measured: &[Step]) -> Figures {
    let mut figures = Figures::default();
    for Step { events, costs, .. } in measured {
        for cost in costs {
            let name = format!("append at {events} events, {} writers", cost.writers);
            figures.add(format!("{name} p50"), cost.median, "ms");
            figures.add(format!("{name} p99"), cost.p99, "ms");
        }
    }
    figures
}

/// One line of the plot for each number of writers and each percentile.
fn lines(measured: &[Step]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (load, (writers, _)) in LOADS.iter().enumerate() {
        let points = |of: fn(&Cost) -> f64| {
            let measured = measured.iter();
            measured
                .map(|step| (step.events as f64, of(&step.costs[load])))
                .collect()
        };
        let name = named(*writers);
        lines.push(Line {
            name: format!("{name}, median"),
            points: points(|cost| cost.median),
        });
        lines.push(Line {
            name: format!("{name}, p99"),
            points: points(|cost| cost.p99),
        });
    }
    lines
}

fn named(writers: usize) -> String {
    let plural = if writers == 1 { "" } else { "s" };
    format!("{writers} writer{plural}")
}

fn table(measured: &[Step]) -> String {
    let mut table = String::from("| ms an append, at events |");
    for (writers, _) in LOADS {
        table += &format!(" {}, median | p99 |", named(writers));
    }
    table += &format!(" load |\n|--:|{}--:|\n", "--:|".repeat(2 * LOADS.len()));
    for Step {
        events,
        load,
        costs,
    } in measured
    {
        table += &format!("| {} |", plot::short(*events as f64));
        for cost in costs {
            table += &format!(" {:.3} | {:.3} |", cost.median, cost.p99);
        }
        table += &format!(" {load} |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_triple_up_to_the_one_that_was_asked_for() {
        assert_eq!(lengths(100_000), [10_000, 30_000, 100_000]);
        assert_eq!(lengths(50_000), [10_000, 30_000, 50_000]);
        assert_eq!(lengths(500), [500]);
        assert_eq!(lengths(10_000_000).len(), 7);
    }

    #[test]
    fn each_load_has_a_median_and_a_p99_at_every_length() {
        let measured = [10_000, 30_000].map(|events| Step {
            events,
            load: "0.5".into(),
            costs: LOADS
                .map(|(writers, _)| Cost {
                    writers,
                    median: 0.25,
                    p99: 1.5,
                })
                .into(),
        });
        assert_eq!(
            table(&measured),
            "| ms an append, at events | 1 writer, median | p99 | 32 writers, median | p99 | load |\n\
             |--:|--:|--:|--:|--:|--:|\n\
             | 10 k | 0.250 | 1.500 | 0.250 | 1.500 | 0.5 |\n\
             | 30 k | 0.250 | 1.500 | 0.250 | 1.500 | 0.5 |\n"
        );
        let lines = lines(&measured);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3].name, "32 writers, p99");
        assert_eq!(lines[3].points, [(10_000.0, 1.5), (30_000.0, 1.5)]);
    }
}
