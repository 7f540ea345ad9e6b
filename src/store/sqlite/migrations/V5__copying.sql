-- Copies between stores: the one that this store was last copied by, until somebody else opened it, or the one that it
-- is being filled by, with the place to go on at.
CREATE TABLE copying (
    role   TEXT PRIMARY KEY,                -- from, to
    copy   TEXT NOT NULL,
    tables INTEGER NOT NULL,                -- how many are whole
    next   TEXT                             -- JSON; NULL at the beginning of the next one
) WITHOUT ROWID;
