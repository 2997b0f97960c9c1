-- The last number that a build of each projection had, so that none is used again after its build was removed.
CREATE TABLE build_numbers (
    projection text   PRIMARY KEY,
    last       bigint NOT NULL
);

INSERT INTO build_numbers (projection, last) SELECT projection, max(build) FROM builds GROUP BY projection;
