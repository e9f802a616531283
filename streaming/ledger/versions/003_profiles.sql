-- How each drop was read, and what is told of its rows beside their counts.

-- '1': as before there were profiles; '2': without a profile; else the digest of a profile.
ALTER TABLE stocketl.drops
    ADD COLUMN reading           text   NOT NULL DEFAULT '1',
    ADD COLUMN conflicts         bigint NOT NULL DEFAULT 0 CHECK (conflicts BETWEEN 0 AND rows_duplicate),
    ADD COLUMN volume_unreadable bigint NOT NULL DEFAULT 0 CHECK (volume_unreadable >= 0),
    ADD COLUMN rows_passed_over  bigint NOT NULL DEFAULT 0 CHECK (rows_passed_over >= 0);

-- What each profile says that has read a drop, for every reading of that drop to come.
CREATE TABLE stocketl.profiles (
    digest      text PRIMARY KEY,
    name        text NOT NULL,
    profile     jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
