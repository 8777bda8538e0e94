-- +goose Up

-- One row: which ledger this is, and how often it was opened.
CREATE TABLE ledger (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    ledger_id TEXT    NOT NULL,
    epoch     INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    run_id    INTEGER PRIMARY KEY,
    tenant    TEXT    NOT NULL,
    label     TEXT    NOT NULL,
    closed_at INTEGER,
    UNIQUE (tenant, label)
) STRICT;

-- A key's token is nowhere: it is derived from key_id under the master key.
CREATE TABLE keys (
    key_id     TEXT    PRIMARY KEY,
    issue_id   TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    run_id     INTEGER NOT NULL REFERENCES runs (run_id),
    vendor     TEXT    NOT NULL,
    phase      TEXT    NOT NULL,
    agent_name TEXT    NOT NULL,
    terms      TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    UNIQUE (issue_id, generation)
) STRICT;
CREATE INDEX keys_by_run ON keys (run_id);

-- Amounts are micro-USD. allowed follows cap, and rises only when a vendor
-- booked more than was held: the CHECK is the cap, said once more by the file.
CREATE TABLE budgets (
    budget_id INTEGER PRIMARY KEY,
    scope     TEXT    NOT NULL CHECK (scope IN ('key', 'run')),
    owner     TEXT    NOT NULL,
    window    TEXT    NOT NULL,
    cap       INTEGER NOT NULL CHECK (cap >= 0),
    allowed   INTEGER NOT NULL,
    settled   INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    in_flight INTEGER NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    committed INTEGER NOT NULL DEFAULT 0 CHECK (committed >= 0),
    unknown   INTEGER NOT NULL DEFAULT 0 CHECK (unknown >= 0),
    overrun   INTEGER NOT NULL DEFAULT 0 CHECK (overrun >= 0),
    UNIQUE (scope, owner, window),
    CHECK (settled + in_flight + committed + unknown <= allowed)
) STRICT;

CREATE TABLE calls (
    seq             INTEGER PRIMARY KEY,
    call_id         TEXT    NOT NULL UNIQUE,
    digest          BLOB    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('dispatched', 'settled', 'released', 'committed', 'unknown')),
    reason          TEXT    NOT NULL,
    key_id          TEXT    NOT NULL REFERENCES keys (key_id),
    run_id          INTEGER NOT NULL REFERENCES runs (run_id),
    vendor          TEXT    NOT NULL,
    operation       TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    item            TEXT    NOT NULL,
    workflow_id     TEXT    NOT NULL,
    hold            INTEGER NOT NULL CHECK (hold >= 0),
    amount          INTEGER NOT NULL DEFAULT 0 CHECK (amount >= 0),
    object          TEXT    NOT NULL DEFAULT '',
    books           INTEGER NOT NULL DEFAULT 0, -- 1: this call holds or settled the amount of object
    target          TEXT    NOT NULL,
    day             TEXT    NOT NULL,
    declined        INTEGER NOT NULL DEFAULT 0,
    answered        INTEGER NOT NULL DEFAULT 0,
    answer_status   INTEGER NOT NULL DEFAULT 0,
    answer          BLOB,
    request         BLOB,
    sends           INTEGER NOT NULL,
    unproven        INTEGER NOT NULL,
    resend          INTEGER NOT NULL DEFAULT 0,
    checks          INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    first_sent_at   INTEGER NOT NULL,
    last_sent_at    INTEGER NOT NULL,
    prior_sent_at   INTEGER NOT NULL DEFAULT 0,
    final_at        INTEGER,
    next_check_at   INTEGER NOT NULL DEFAULT 0,
    claimed_until   INTEGER NOT NULL DEFAULT 0,
    epoch           INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_by_run ON calls (run_id, seq);
CREATE UNIQUE INDEX calls_by_object ON calls (vendor, object) WHERE books = 1;
CREATE INDEX calls_in_doubt ON calls (next_check_at) WHERE state IN ('unknown', 'committed');

CREATE TABLE audit (
    seq             INTEGER PRIMARY KEY,
    at              INTEGER NOT NULL,
    verdict         TEXT    NOT NULL,
    code            TEXT    NOT NULL,
    by_whom         TEXT    NOT NULL,
    tenant          TEXT    NOT NULL,
    run             TEXT    NOT NULL,
    key_id          TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    item            TEXT    NOT NULL,
    workflow_id     TEXT    NOT NULL,
    vendor          TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    status          INTEGER NOT NULL,
    price           INTEGER NOT NULL,
    amount          INTEGER NOT NULL,
    object          TEXT    NOT NULL,
    duration_us     INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_run ON audit (run, seq);
