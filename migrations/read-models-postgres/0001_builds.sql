-- What queries read. Everything here can be made again from the log: every build of a projection has tables of its own, and a
-- view over the live ones.
CREATE TABLE builds (
    projection      text   NOT NULL,
    build           bigint NOT NULL,
    version         bigint NOT NULL,
    -- The log that the position is one of.
    log             text   NOT NULL,
    -- live, building, verifying or verified
    status          text   NOT NULL,
    -- Committed together with the rows.
    position        bigint NOT NULL,
    -- Events taken in.
    events          bigint NOT NULL,
    started_at      bigint NOT NULL,
    updated_at      bigint NOT NULL,
    -- Why it stopped, and at which event, if it did.
    failure         text,
    failed_position bigint,
    failed_event    text,
    -- Who builds it, and until when nobody else may.
    owner           text,
    owned_until     bigint,
    PRIMARY KEY (projection, build)
);

CREATE UNIQUE INDEX builds_live ON builds (projection) WHERE status = 'live';
CREATE UNIQUE INDEX builds_at_work ON builds (projection) WHERE status IN ('building', 'verifying');
