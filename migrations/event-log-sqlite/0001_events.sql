-- The event log on SQLite. Rows are only ever added.
CREATE TABLE streams (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    stream         INTEGER NOT NULL REFERENCES streams (id),
    revision       INTEGER NOT NULL,
    event_id       BLOB    NOT NULL UNIQUE,
    event_type     TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    data           TEXT    NOT NULL,
    actor          TEXT    NOT NULL,
    correlation_id BLOB    NOT NULL,
    causation_id   BLOB,
    -- What few events have, as JSON: a trace context, an idempotency key.
    context        TEXT,
    -- Microseconds since 1970-01-01 UTC.
    recorded_at    INTEGER NOT NULL,
    -- CRC-32 over all of the above.
    checksum       INTEGER NOT NULL,
    UNIQUE (stream, revision)
) STRICT;

-- One row: tells this log from all others, so that what was derived from it is not taken for that of another.
CREATE TABLE log (
    id BLOB NOT NULL
) STRICT;

INSERT INTO log (id) VALUES (randomblob(16));
