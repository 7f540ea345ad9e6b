-- What repetitions are known by. In a table in the order of their hashes every commit would write a page for each key.
-- So the newest lie as they came, those that stand for a day and the others; from there they move, sorted, into
-- generations that are not written again.
CREATE TABLE new_keys (
    daily      INTEGER NOT NULL,            -- whether it stands for a day
    number     INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    position   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (daily, number)
) WITHOUT ROWID;
CREATE TABLE old_keys (
    generation INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    position   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (generation, hash)
) WITHOUT ROWID;
CREATE TABLE key_generations (
    number     INTEGER PRIMARY KEY,
    daily      INTEGER,                     -- NULL: it has both
    expires_at INTEGER NOT NULL,            -- when the last of its keys does
    through    INTEGER NOT NULL,            -- the number that the last of them had in new_keys
    filter     BLOB                         -- tells most keys that are not in it; NULL: it has none
);

-- Those of before are one generation.
INSERT INTO old_keys (generation, hash, position, expires_at) SELECT 1, hash, position, expires_at FROM keys ORDER BY hash;
INSERT INTO key_generations (number, expires_at, through)
    SELECT 1, expires_at, 0 FROM (SELECT max(expires_at) AS expires_at FROM keys) WHERE expires_at IS NOT NULL;
DROP TABLE keys;
