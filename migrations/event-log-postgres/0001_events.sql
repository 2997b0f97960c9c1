-- The event log on PostgreSQL. Rows are only ever added.
CREATE TABLE events (
    position       bigint      PRIMARY KEY,
    stream         text        NOT NULL,
    revision       bigint      NOT NULL,
    event_id       uuid        NOT NULL UNIQUE,
    event_type     text        NOT NULL,
    schema_version bigint      NOT NULL,
    -- json, not jsonb: what was written is read back to the letter.
    data           json        NOT NULL,
    actor          text        NOT NULL,
    correlation_id uuid        NOT NULL,
    causation_id   uuid,
    -- What few events have: a trace context, an idempotency key.
    context        json,
    recorded_at    timestamptz NOT NULL,
    -- CRC-32 over all of the above.
    checksum       bigint      NOT NULL,
    UNIQUE (stream, revision)
);

-- One row, locked by whoever appends until its transaction ends: positions are handed out in the order of commits.
CREATE TABLE event_log_head (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL
);

INSERT INTO event_log_head (position, recorded_at) VALUES (0, '1970-01-01 00:00:00Z');

-- One row: tells this log from all others, so that what was derived from it is not taken for that of another.
CREATE TABLE log (
    id uuid NOT NULL
);

INSERT INTO log (id) VALUES (gen_random_uuid());
