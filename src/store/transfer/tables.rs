//! The tables that every store has, or can be read as having.

/// A table, as it is read and written.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns; the first are its key.
    pub columns: &'static [Column],
    /// How many columns are its key.
    pub key: usize,
    /// How many rows make a page.
    pub page: usize,
}

/// A column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub kind: Kind,
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Number,
    /// 0 or 1.
    Flag,
    /// Texts.
    Text,
    /// Bytes.
    Bytes,
    /// The 16 bytes of the id of an event.
    Id,
}

impl Table {
    /// The columns of the key.
    #[must_use]
    pub fn key(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }

    /// The names of all columns, with commas between.
    #[must_use]
    pub fn names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: Kind::Flag }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn id(name: &'static str) -> Column {
    Column { name, kind: Kind::Id }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

/// How many rows make a page, where they are not very small.
const PAGE: usize = 500;

/// The events, each with its plan.
pub(in super::super) const EVENTS: Table = Table {
    name: "events",
    columns: &[
        number("position"),
        id("id"),
        text("webhook"),
        text("brand"),
        text("claimed_webhook_id"),
        text("name"),
        text("original_name"),
        text("occurrence_id"),
        text("entity"),
        number("received_at"),
        number("retry_num"),
        number("sent_at"),
        text("peer"),
        text("notes"),
        bytes("headers"),
        bytes("body"),
        number("planned_at"),
        text("not_routed"),
    ],
    key: 1,
    page: PAGE,
};

/// What repetitions are known by, in no order that all stores have.
pub(in super::super) const KEYS: Table = Table {
    name: "keys",
    columns: &[bytes("hash"), flag("daily"), number("position"), number("expires_at")],
    key: 1,
    page: 1 << 16,
};

/// Every table, in the order in which they are copied.
pub const TABLES: &[Table] = &[
    EVENTS,
    Table { name: "duplicates", columns: &[number("position"), number("count")], key: 1, page: PAGE },
    Table {
        name: "receipts",
        columns: &[
            number("position"),
            number("number"),
            number("received_at"),
            number("retry_num"),
            number("sent_at"),
            text("peer"),
            flag("matched_by_body"),
            bytes("other_body"),
        ],
        key: 2,
        page: PAGE,
    },
    KEYS,
    Table {
        name: "deliveries",
        columns: &[
            number("id"),
            number("position"),
            text("handler"),
            number("number"),
            text("lane"),
            text("state"),
            number("ready_at"),
            flag("claimed"),
            number("epoch"),
            number("attempts"),
            text("reason"),
            number("planned_at"),
            number("settled_at"),
            number("before_retry"),
            number("retried"),
            number("replay"),
        ],
        key: 1,
        page: PAGE,
    },
    Table {
        name: "attempts",
        columns: &[
            number("delivery"),
            number("number"),
            text("ended"),
            number("started_at"),
            number("took_ms"),
            number("status"),
            text("message"),
            bytes("response"),
        ],
        key: 2,
        page: PAGE,
    },
    Table {
        name: "rejected",
        columns: &[
            number("id"),
            number("received_at"),
            text("webhook"),
            text("brand"),
            text("claimed_webhook_id"),
            text("peer"),
            text("reason"),
            bytes("headers"),
            bytes("body"),
            id("became"),
            number("became_at"),
        ],
        key: 1,
        page: PAGE,
    },
    Table {
        name: "refusals",
        columns: &[text("code"), text("peer"), text("claimed_webhook_id"), number("count"), number("last_at")],
        key: 3,
        page: PAGE,
    },
    Table {
        name: "token_uses",
        columns: &[text("webhook"), text("token"), number("count"), number("last_at")],
        key: 2,
        page: PAGE,
    },
    Table {
        name: "handlers",
        columns: &[
            text("name"),
            number("paused_at"),
            number("breaker_since"),
            number("breaker_until"),
            number("breaker_failures"),
            number("breaker_probes"),
            text("breaker_reason"),
        ],
        key: 1,
        page: PAGE,
    },
    Table {
        name: "replays",
        columns: &[
            number("id"),
            number("asked_at"),
            id("event"),
            text("filter"),
            text("handler"),
            flag("rematch"),
            flag("undelivered"),
            number("per_second"),
            text("state"),
            number("position"),
            number("last"),
            number("events"),
            number("deliveries"),
            number("done_at"),
        ],
        key: 1,
        page: PAGE,
    },
];
