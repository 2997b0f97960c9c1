-- The last number that a build of each projection had, so that none is used again after its build was removed.
CREATE TABLE build_numbers (
    projection TEXT    PRIMARY KEY,
    last       INTEGER NOT NULL
) STRICT;

INSERT INTO build_numbers (projection, last) SELECT projection, max(build) FROM builds GROUP BY projection;
