-- Every build of a projection has tables of its own, and a view over the live ones. What was projected before is made again.
DROP TABLE checkpoints;
DROP TABLE projects;
DROP TABLE sessions;
DROP TABLE session_projects;
DROP TABLE containers;

CREATE TABLE builds (
    projection      TEXT    NOT NULL,
    build           INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    -- The log that the position is one of.
    log             TEXT    NOT NULL,
    -- live, building, verifying or verified
    status          TEXT    NOT NULL,
    -- Committed together with the rows.
    position        INTEGER NOT NULL,
    -- Events taken in.
    events          INTEGER NOT NULL,
    started_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    -- Why it stopped, and at which event, if it did.
    failure         TEXT,
    failed_position INTEGER,
    failed_event    TEXT,
    -- Who builds it, and until when nobody else may.
    owner           TEXT,
    owned_until     INTEGER,
    PRIMARY KEY (projection, build)
) STRICT;

CREATE UNIQUE INDEX builds_live ON builds (projection) WHERE status = 'live';
CREATE UNIQUE INDEX builds_at_work ON builds (projection) WHERE status IN ('building', 'verifying');
