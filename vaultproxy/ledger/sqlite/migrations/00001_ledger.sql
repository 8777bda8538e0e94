-- +goose Up

-- One row: which ledger this is, which master key it hangs on, and how often it
-- was opened.
CREATE TABLE ledger (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    ledger_id  TEXT    NOT NULL,
    master_key TEXT    NOT NULL DEFAULT '', -- a fingerprint of it
    epoch      INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY
) STRICT;

-- Caps that a person set for a tenant. A budget is opened from one when the
-- first call of its window comes.
CREATE TABLE tenant_caps (
    tenant TEXT    NOT NULL REFERENCES tenants (tenant),
    span   TEXT    NOT NULL CHECK (span = 'day' OR span = 'total'),
    cap    INTEGER NOT NULL CHECK (cap >= 0),
    PRIMARY KEY (tenant, span)
) STRICT;

-- asked_cap is what the run's first key asked for; its budget has the cap in force.
CREATE TABLE runs (
    run_no    INTEGER PRIMARY KEY,
    tenant    TEXT    NOT NULL,
    label     TEXT    NOT NULL,
    asked_cap INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER,
    UNIQUE (tenant, label)
) STRICT;

-- A key's token is nowhere: it is derived from key_id under the master key.
CREATE TABLE keys (
    key_no     INTEGER PRIMARY KEY,
    key_id     TEXT    NOT NULL UNIQUE,
    issue_id   TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    run_no     INTEGER NOT NULL REFERENCES runs (run_no),
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
CREATE INDEX keys_by_run ON keys (run_no);

-- Amounts are micro-USD. allowed follows cap, and is above it only where a vendor
-- booked more than was held or a person lowered the cap: the CHECK is the cap,
-- said once more by the file.
CREATE TABLE budgets (
    budget_no       INTEGER PRIMARY KEY,
    scope           TEXT    NOT NULL CHECK (scope = 'key' OR scope = 'run' OR scope = 'tenant'),
    owner           TEXT    NOT NULL,
    span            TEXT    NOT NULL,
    cap             INTEGER NOT NULL CHECK (cap >= 0),
    allowed         INTEGER NOT NULL,
    settled         INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    in_flight       INTEGER NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    committed       INTEGER NOT NULL DEFAULT 0 CHECK (committed >= 0),
    unknown         INTEGER NOT NULL DEFAULT 0 CHECK (unknown >= 0),
    overrun         INTEGER NOT NULL DEFAULT 0 CHECK (overrun >= 0),
    lowered         INTEGER NOT NULL DEFAULT 0, -- what was in use already above a cap that a person lowered
    contended_until INTEGER NOT NULL DEFAULT 0,
    UNIQUE (scope, owner, span),
    CHECK (settled + in_flight + committed + unknown <= allowed)
) STRICT;

-- What many calls have in common.
CREATE TABLE operations (
    op_no     INTEGER PRIMARY KEY,
    vendor    TEXT NOT NULL,
    operation TEXT NOT NULL,
    method    TEXT NOT NULL,
    path      TEXT NOT NULL,
    UNIQUE (vendor, operation, method, path)
) STRICT;

-- A call is told from others by run, vendor and idempotency key, and found by
-- them: unlike the hash that call_id is, they come in an order that keeps the
-- pages of the index warm. Conditions are spelt out with OR, since SQLite builds
-- a table for each list that IN compares with.
CREATE TABLE calls (
    seq             INTEGER PRIMARY KEY,
    run_no          INTEGER NOT NULL REFERENCES runs (run_no),
    vendor          TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    digest          BLOB    NOT NULL,
    state           TEXT    NOT NULL CHECK (state = 'dispatched' OR state = 'settled' OR state = 'released' OR
                                            state = 'committed' OR state = 'unknown'),
    reason          TEXT    NOT NULL DEFAULT '',
    key_no          INTEGER NOT NULL REFERENCES keys (key_no),
    op_no           INTEGER NOT NULL REFERENCES operations (op_no),
    item            TEXT    NOT NULL,
    workflow_id     TEXT    NOT NULL,
    hold            INTEGER NOT NULL CHECK (hold >= 0),
    amount          INTEGER NOT NULL DEFAULT 0 CHECK (amount >= 0),
    object          TEXT    NOT NULL DEFAULT '',
    books           INTEGER NOT NULL DEFAULT 0, -- 1: this call holds or settled the amount of object
    target          TEXT    NOT NULL,
    declined        INTEGER NOT NULL DEFAULT 0,
    answered        INTEGER NOT NULL DEFAULT 0,
    answer_status   INTEGER NOT NULL DEFAULT 0,
    sends           INTEGER NOT NULL,
    unproven        INTEGER NOT NULL,
    resend          INTEGER NOT NULL DEFAULT 0,
    checks          INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    reserved_at     INTEGER NOT NULL,
    first_sent_at   INTEGER NOT NULL,
    last_sent_at    INTEGER NOT NULL,
    prior_sent_at   INTEGER NOT NULL DEFAULT 0,
    committed_at    INTEGER NOT NULL DEFAULT 0,
    final_at        INTEGER,
    next_check_at   INTEGER NOT NULL DEFAULT 0, -- above zero for unknown and committed calls alone
    claimed_until   INTEGER NOT NULL DEFAULT 0,
    epoch           INTEGER NOT NULL,
    request         BLOB
) STRICT;
CREATE UNIQUE INDEX calls_by_key ON calls (run_no, vendor, idempotency_key);
CREATE INDEX calls_by_run ON calls (run_no, seq);
CREATE UNIQUE INDEX calls_by_object ON calls (vendor, object) WHERE books = 1;
CREATE INDEX calls_open ON calls (key_no) WHERE state = 'dispatched' OR state = 'unknown';
CREATE INDEX calls_in_doubt ON calls (state, next_check_at) WHERE next_check_at > 0;

-- Apart from the calls, so that their rows stay short when they move.
CREATE TABLE answers (
    seq    INTEGER PRIMARY KEY,
    answer BLOB
) STRICT;

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
    duration_us     INTEGER NOT NULL,
    who             TEXT    NOT NULL,
    note            TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_run ON audit (run, seq);

-- What is left of calls that were pruned: their sums by the UTC day (days since
-- 1970) on which they were reserved.
CREATE TABLE daily_totals (
    run_no         INTEGER NOT NULL REFERENCES runs (run_no),
    issue_id       TEXT    NOT NULL,
    vendor         TEXT    NOT NULL,
    day_no         INTEGER NOT NULL,
    settled        INTEGER NOT NULL,
    settled_calls  INTEGER NOT NULL,
    released_calls INTEGER NOT NULL,
    declined_calls INTEGER NOT NULL,
    PRIMARY KEY (run_no, issue_id, vendor, day_no)
) STRICT;
