-- What somebody did with a delivery: the attempts before it was last retried by hand, how often it was, and the replay
-- that made it.
ALTER TABLE deliveries ADD COLUMN before_retry INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN replay INTEGER;

-- Lists of deliveries by handler and state, and of events by what came of them.
CREATE INDEX deliveries_state ON deliveries (handler, state, id);
CREATE INDEX deliveries_unfinished ON deliveries (state, position) WHERE state <> 'delivered';

-- How many deliveries of which handler are in which state.
CREATE TABLE tallies (
    handler TEXT NOT NULL,
    state   TEXT NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (handler, state)
) WITHOUT ROWID;
INSERT INTO tallies (handler, state, count) SELECT handler, state, count(*) FROM deliveries GROUP BY handler, state;

-- What somebody or something decided about a handler: whether it is paused, and its breaker while that is open.
CREATE TABLE handlers (
    name             TEXT PRIMARY KEY,
    paused_at        INTEGER,
    breaker_since    INTEGER,
    breaker_until    INTEGER,
    breaker_failures INTEGER,
    breaker_probes   INTEGER,
    breaker_reason   TEXT
) WITHOUT ROWID;

CREATE TABLE replays (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    asked_at    INTEGER NOT NULL,
    event       BLOB,                       -- the id of the one event, or
    filter      TEXT,                       -- JSON: which events
    handler     TEXT,                       -- NULL: not only one
    rematch     INTEGER NOT NULL,           -- whether routes are asked
    undelivered INTEGER NOT NULL,           -- whether what was delivered is left out
    per_second  INTEGER,
    state       TEXT NOT NULL,              -- running, stopped, done
    position    INTEGER NOT NULL,           -- the last event that was looked at
    last        INTEGER NOT NULL,           -- the last event that there was when it began
    events      INTEGER NOT NULL DEFAULT 0,
    deliveries  INTEGER NOT NULL DEFAULT 0,
    done_at     INTEGER
);

-- What events are found by; the row is the event's position. Only that it has a term is kept, not where. Spaces alone
-- tell terms apart, whatever script they are of.
CREATE VIRTUAL TABLE terms USING fts5 (
    list, content = '', contentless_delete = 1, detail = none,
    tokenize = "unicode61 categories 'L* M* N* P* S* C*'"
);

-- What was removed is skipped, and goes when parts are merged because of what comes in. Merging a part because much of
-- it was removed takes as long as that is large, in one commit.
INSERT INTO terms (terms, rank) VALUES ('deletemerge', 0);

-- How often the tokens of the webhooks were used; a token is told by the beginning of its hash.
CREATE TABLE token_uses (
    webhook TEXT NOT NULL,
    token   TEXT NOT NULL,
    count   INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (webhook, token)
) WITHOUT ROWID;

-- The event that a rejected request became when it was judged again, and when.
ALTER TABLE rejected ADD COLUMN became BLOB;
ALTER TABLE rejected ADD COLUMN became_at INTEGER;
CREATE INDEX rejected_webhook ON rejected (webhook, id);

-- What retention asks: whether a plan still speaks of a verdict.
CREATE INDEX plans_verdict ON plans (verdict);

-- Events that were removed before they were both planned and catalogued.
CREATE TABLE gaps (position INTEGER PRIMARY KEY);

-- The last event that can be found by its terms; how many events were removed; where something forgotten may still be
-- in the files: 0 nowhere, else 1 the catalogue, 2 the free pages, 3 the write-ahead log, and what comes after it here.
INSERT INTO marks (name, value) VALUES ('catalogued', 0), ('removed', 0), ('cleaning', 0);
