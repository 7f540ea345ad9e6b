-- The catalogue in parts: each is a full-text index of its own, `terms_` and its number, made when it is needed. It is
-- stale while it has an entry of an event that was removed. While it is cleaned of those: the last position that was
-- looked at.
CREATE TABLE parts (
    number      INTEGER PRIMARY KEY,
    stale       INTEGER NOT NULL DEFAULT 0,
    clean_after INTEGER
);

-- What was found by one index for all is found again as the parts are filled, from the first event on.
DROP TABLE terms;
UPDATE marks SET value = ifnull(
    (SELECT min(position) - 1 FROM events),
    (SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'events')
) WHERE name = 'catalogued';
