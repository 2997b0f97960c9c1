-- The event log on SQLite. Rows are only ever added.
CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    stream         TEXT    NOT NULL,
    revision       INTEGER NOT NULL,
    event_id       BLOB    NOT NULL UNIQUE,
    event_type     TEXT    NOT NULL,
    schema_version INTEGER NOT NULL,
    data           TEXT    NOT NULL,
    metadata       TEXT    NOT NULL,
    -- Microseconds since 1970-01-01 UTC.
    recorded_at    INTEGER NOT NULL,
    UNIQUE (stream, revision)
) STRICT;

-- One row: tells this log from all others, so that what was derived from it is not taken for that of another.
CREATE TABLE log (
    id BLOB NOT NULL
) STRICT;

INSERT INTO log (id) VALUES (randomblob(16));
