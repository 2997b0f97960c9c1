//! What the disk and the engines can do without us.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::{Connection, PgConnection};

use super::{Figures, Size};
use crate::project::millis;

/// Clients of the PostgreSQL floor.
const CLIENTS: usize = 32;

const PAGE: [u8; 4_096] = [7; 4_096];

/// `fdatasync` after each page that is appended to a file.
pub fn disk(home: &Path, flushes: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let mut file = File::create(home.join("flushes")).context("cannot make a file")?;
    let mut times = Vec::with_capacity(flushes);
    for _ in 0..flushes {
        let begun = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        times.push(millis(begun.elapsed()));
    }
    figures.latencies("fdatasync of 4 KiB", times);
    Ok(())
}

/// One connection that inserts rows of 256 bytes, with the durability that ours has.
pub fn sqlite(home: &Path, size: Size, figures: &mut Figures) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(home.join("floor.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, \
         type TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (stream, version))",
    )?;
    let data = super::event().data;
    let mut insert = connection
        .prepare("INSERT INTO events (stream, version, type, data) VALUES (?, ?, 'Measured', ?)")?;
    let mut written = 0_i64;
    for batch in [1, 100] {
        let (begun, before) = (Instant::now(), written);
        while begun.elapsed() < Duration::from_secs(size.seconds) {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for _ in 0..batch {
                let stream = format!("measured-{}", written / 100);
                insert.execute(rusqlite::params![stream, written % 100, data.get()])?;
                written += 1;
            }
            connection.execute_batch("COMMIT")?;
        }
        let rate = (written - before) as f64 / begun.elapsed().as_secs_f64();
        let name = format!("plain SQLite, commits of {batch}");
        figures.add(name, rate, "events/s");
    }
    Ok(())
}

/// Clients that insert one row and commit, each with a connection of its own.
pub async fn postgres(url: &str, size: Size, figures: &mut Figures) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(
        "CREATE TABLE floor (position bigserial PRIMARY KEY, stream text NOT NULL, version bigint NOT NULL, \
         data text NOT NULL, UNIQUE (stream, version))",
    )
    .execute(&mut connection)
    .await?;
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let mut connection = PgConnection::connect(url).await?;
        clients.spawn(async move {
            let (data, stream) = (super::event().data, format!("measured-{client}"));
            let mut written = 0_i64;
            while begun.elapsed() < Duration::from_secs(size.seconds) {
                sqlx::query("INSERT INTO floor (stream, version, data) VALUES ($1, $2, $3)")
                    .bind(&stream)
                    .bind(written)
                    .bind(data.get())
                    .execute(&mut connection)
                    .await?;
                written += 1;
            }
            Ok::<i64, sqlx::Error>(written)
        });
    }
    let mut written = 0;
    while let Some(client) = clients.join_next().await {
        written += client??;
    }
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    let name = format!("plain PostgreSQL, one row a commit, {CLIENTS} clients");
    figures.add(name, rate, "events/s");
    Ok(())
}
