-- Times are milliseconds since the epoch.

-- One row an event, in the order of storing. Never changed after it was stored.
CREATE TABLE events (
    position           INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 BLOB NOT NULL,
    webhook            TEXT NOT NULL,
    brand              TEXT NOT NULL,
    claimed_webhook_id TEXT NOT NULL,
    name               TEXT NOT NULL,
    original_name      TEXT,
    occurrence_id      TEXT,
    entity             TEXT,
    received_at        INTEGER NOT NULL,
    retry_num          INTEGER NOT NULL,
    sent_at            INTEGER,             -- seconds, as claimed by the sender
    peer               TEXT,
    notes              TEXT,                -- JSON; NULL where there are none
    headers            BLOB NOT NULL,       -- one `name: value` a line, credentials left out
    body               BLOB NOT NULL        -- the bytes as they came
);
CREATE UNIQUE INDEX events_id ON events (id);

-- What repetitions are known by. Outlives the event that it points to.
CREATE TABLE keys (
    hash       BLOB PRIMARY KEY,
    position   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- The duplicates of an event: all are counted, the first hundred are kept.
CREATE TABLE duplicates (
    position INTEGER PRIMARY KEY,
    count    INTEGER NOT NULL
);
CREATE TABLE receipts (
    position        INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    received_at     INTEGER NOT NULL,
    retry_num       INTEGER NOT NULL,
    sent_at         INTEGER,
    peer            TEXT,
    matched_by_body INTEGER NOT NULL,
    other_body      BLOB,                   -- only where it was another than the event's
    PRIMARY KEY (position, number)
) WITHOUT ROWID;

-- One row a run of events that were planned together with one verdict: which handlers did not get them, and by which
-- clause.
CREATE TABLE verdicts (
    id         INTEGER PRIMARY KEY,
    not_routed TEXT NOT NULL UNIQUE         -- JSON
);
CREATE TABLE plans (
    first      INTEGER PRIMARY KEY,         -- the position of the first event, and of the last
    last       INTEGER NOT NULL,
    planned_at INTEGER NOT NULL,
    verdict    INTEGER NOT NULL
);

CREATE TABLE deliveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    position   INTEGER NOT NULL,
    handler    TEXT NOT NULL,
    number     INTEGER NOT NULL,            -- 0, then one more a replay
    lane       TEXT,                        -- NULL waits for nobody
    state      TEXT NOT NULL,               -- pending, delivered, dead, cancelled
    ready_at   INTEGER,                     -- when it may be claimed; NULL while another of its lane is before it, and at the end
    claimed    INTEGER NOT NULL DEFAULT 0,  -- held under a lease until ready_at
    epoch      INTEGER NOT NULL DEFAULT 0,  -- how often it was claimed
    attempts   INTEGER NOT NULL DEFAULT 0,  -- those that count
    reason     TEXT,
    planned_at INTEGER NOT NULL,
    settled_at INTEGER
);
CREATE UNIQUE INDEX deliveries_event ON deliveries (position, handler, number);
CREATE INDEX deliveries_ready ON deliveries (handler, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX deliveries_lane ON deliveries (handler, lane, id) WHERE state = 'pending' AND lane IS NOT NULL;
CREATE INDEX deliveries_claimed ON deliveries (id) WHERE claimed = 1;

CREATE TABLE attempts (
    delivery   INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    ended      TEXT NOT NULL,               -- delivered, failed, refused, throttled, lost
    started_at INTEGER NOT NULL,
    took_ms    INTEGER NOT NULL,
    status     INTEGER,
    message    TEXT NOT NULL,
    response   BLOB NOT NULL,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

-- Requests with a good token that could not be read, whole; the oldest go when there are too many.
CREATE TABLE rejected (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at        INTEGER NOT NULL,
    webhook            TEXT NOT NULL,
    brand              TEXT NOT NULL,
    claimed_webhook_id TEXT NOT NULL,
    peer               TEXT,
    reason             TEXT NOT NULL,
    headers            BLOB NOT NULL,
    body               BLOB NOT NULL
);

-- How often somebody was turned away without anything being kept.
CREATE TABLE refusals (
    code               TEXT NOT NULL,
    peer               TEXT NOT NULL,
    claimed_webhook_id TEXT NOT NULL,
    count              INTEGER NOT NULL,
    last_at            INTEGER NOT NULL,
    PRIMARY KEY (code, peer, claimed_webhook_id)
) WITHOUT ROWID;
CREATE INDEX refusals_last ON refusals (last_at);

-- Single values: the last planned position; how often planning began without getting beyond which position; the bytes of
-- rejected requests; a value to try writing with.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO marks (name, value) VALUES ('planned', 0), ('stalled', 0), ('stalled_at', 0), ('rejected_bytes', 0), ('probe', 0);
