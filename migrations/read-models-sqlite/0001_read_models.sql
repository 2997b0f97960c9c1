-- What queries read. Everything here can be made again from the log.

-- How far each projection has come; committed together with its rows.
CREATE TABLE checkpoints (
    projection TEXT    PRIMARY KEY,
    version    INTEGER NOT NULL,
    -- The log that the position is one of.
    log        BLOB    NOT NULL,
    position   INTEGER NOT NULL,
    updated_at TEXT    NOT NULL,
    -- Why it stopped, if it did.
    failure    TEXT
) STRICT;

CREATE TABLE projects (
    id              TEXT    PRIMARY KEY,
    user            TEXT    NOT NULL,
    owner           TEXT    NOT NULL,
    repo            TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    branch          TEXT,
    state           TEXT    NOT NULL,
    step            TEXT,
    generation      INTEGER NOT NULL,
    container       TEXT,
    -- Whether the container of a failed or closed opening is gone.
    released        INTEGER NOT NULL DEFAULT 0,
    failure_step    TEXT,
    failure_code    TEXT,
    failure_detail  TEXT,
    closed_reason   TEXT,
    unsaved_files   INTEGER NOT NULL DEFAULT 0,
    unsaved_commits INTEGER NOT NULL DEFAULT 0,
    opened_at       TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    revision        INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    UNIQUE (user, owner, repo)
) STRICT;

CREATE TABLE sessions (
    id         TEXT    PRIMARY KEY,
    user       TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    started_at TEXT    NOT NULL,
    ended_at   TEXT,
    end_reason TEXT,
    position   INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user, started_at);

CREATE TABLE session_projects (
    session TEXT NOT NULL,
    project TEXT NOT NULL,
    PRIMARY KEY (session, project)
) STRICT;

CREATE TABLE containers (
    id         TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    image      TEXT    NOT NULL,
    from_pool  INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    exit_code  INTEGER,
    oom        INTEGER NOT NULL DEFAULT 0,
    started_at TEXT    NOT NULL,
    ended_at   TEXT,
    position   INTEGER NOT NULL,
    PRIMARY KEY (project, generation)
) STRICT;
