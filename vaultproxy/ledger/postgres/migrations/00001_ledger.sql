-- +goose Up

-- One row: which ledger this is, and which master key it hangs on.
CREATE TABLE ledger (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    ledger_id  TEXT   NOT NULL,
    master_key TEXT   NOT NULL DEFAULT '' -- a fingerprint of it
);

-- A row for each life of a process. What it has in flight is its own until its
-- lease ends; then, or once it says that it has ended, others take care of it.
CREATE TABLE owners (
    epoch       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    ended_at    BIGINT
);

-- What one process does at a time for all of them.
CREATE TABLE leases (
    name  TEXT   PRIMARY KEY,
    epoch BIGINT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY
);

-- Caps that a person set for a tenant. A budget is opened from one when the
-- first call of its window comes.
CREATE TABLE tenant_caps (
    tenant TEXT    NOT NULL REFERENCES tenants (tenant),
    span   TEXT    NOT NULL CHECK (span = 'day' OR span = 'total'),
    cap    BIGINT NOT NULL CHECK (cap >= 0),
    PRIMARY KEY (tenant, span)
);

-- asked_cap is what the run's first key asked for; its budget has the cap in force.
CREATE TABLE runs (
    run_no    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant    TEXT    NOT NULL,
    label     TEXT    NOT NULL,
    asked_cap BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    UNIQUE (tenant, label)
);

-- A key's token is nowhere: it is derived from key_id under the master key.
CREATE TABLE keys (
    key_no     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id     TEXT    NOT NULL UNIQUE,
    issue_id   TEXT    NOT NULL,
    generation BIGINT NOT NULL,
    run_no     BIGINT NOT NULL REFERENCES runs (run_no),
    vendor     TEXT    NOT NULL,
    phase      TEXT    NOT NULL,
    agent_name TEXT    NOT NULL,
    terms      TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    UNIQUE (issue_id, generation)
);
CREATE INDEX keys_by_run ON keys (run_no);

-- Amounts are micro-USD. allowed follows cap, and is above it only where a vendor
-- booked more than was held or a person lowered the cap: the CHECK is the cap,
-- said once more by the file.
CREATE TABLE budgets (
    budget_no       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope           TEXT    NOT NULL CHECK (scope = 'key' OR scope = 'run' OR scope = 'tenant'),
    owner           TEXT    NOT NULL,
    span            TEXT    NOT NULL,
    cap             BIGINT NOT NULL CHECK (cap >= 0),
    allowed         BIGINT NOT NULL,
    settled         BIGINT NOT NULL DEFAULT 0 CHECK (settled >= 0),
    in_flight       BIGINT NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    committed       BIGINT NOT NULL DEFAULT 0 CHECK (committed >= 0),
    unknown         BIGINT NOT NULL DEFAULT 0 CHECK (unknown >= 0),
    overrun         BIGINT NOT NULL DEFAULT 0 CHECK (overrun >= 0),
    lowered         BIGINT NOT NULL DEFAULT 0, -- what was in use already above a cap that a person lowered
    contended_until BIGINT NOT NULL DEFAULT 0,
    UNIQUE (scope, owner, span),
    CHECK (settled + in_flight + committed + unknown <= allowed)
) WITH (fillfactor = 20); -- hot rows, updated in place

-- What many calls have in common.
CREATE TABLE operations (
    op_no     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vendor    TEXT NOT NULL,
    operation TEXT NOT NULL,
    method    TEXT NOT NULL,
    path      TEXT NOT NULL,
    UNIQUE (vendor, operation, method, path)
);

CREATE SEQUENCE calls_seq;

-- A call is told from others by run, vendor and idempotency key, and found by
-- them: unlike the hash that call_id is, they come in an order that keeps the
-- pages of the index warm. A row is moved only by who holds its run's budget.
CREATE TABLE calls (
    seq             BIGINT PRIMARY KEY,
    run_no          BIGINT NOT NULL REFERENCES runs (run_no),
    vendor          TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL,
    call_id         TEXT    NOT NULL,
    digest          BYTEA    NOT NULL,
    state           TEXT    NOT NULL CHECK (state = 'dispatched' OR state = 'settled' OR state = 'released' OR
                                            state = 'committed' OR state = 'unknown'),
    reason          TEXT    NOT NULL DEFAULT '',
    key_no          BIGINT NOT NULL REFERENCES keys (key_no),
    op_no           BIGINT NOT NULL REFERENCES operations (op_no),
    item            TEXT    NOT NULL,
    workflow_id     TEXT    NOT NULL,
    hold            BIGINT NOT NULL CHECK (hold >= 0),
    amount          BIGINT NOT NULL DEFAULT 0 CHECK (amount >= 0),
    object          TEXT    NOT NULL DEFAULT '',
    books           BIGINT NOT NULL DEFAULT 0, -- 1: this call holds or settled the amount of object
    target          TEXT    NOT NULL,
    declined        BIGINT NOT NULL DEFAULT 0,
    answered        BIGINT NOT NULL DEFAULT 0,
    answer_status   BIGINT NOT NULL DEFAULT 0,
    sends           BIGINT NOT NULL,
    unproven        BIGINT NOT NULL,
    resend          BIGINT NOT NULL DEFAULT 0,
    checks          BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    reserved_at     BIGINT NOT NULL,
    first_sent_at   BIGINT NOT NULL,
    last_sent_at    BIGINT NOT NULL,
    prior_sent_at   BIGINT NOT NULL DEFAULT 0,
    committed_at    BIGINT NOT NULL DEFAULT 0,
    final_at        BIGINT,
    next_check_at   BIGINT NOT NULL DEFAULT 0, -- above zero for unknown and committed calls alone
    claimed_until   BIGINT NOT NULL DEFAULT 0,
    epoch           BIGINT NOT NULL,
    request         BYTEA
);
CREATE UNIQUE INDEX calls_by_key ON calls (run_no, vendor, idempotency_key);
CREATE INDEX calls_by_run ON calls (run_no, seq);
CREATE UNIQUE INDEX calls_by_object ON calls (vendor, object) WHERE books = 1;
CREATE INDEX calls_open ON calls (key_no) WHERE state = 'dispatched' OR state = 'unknown';
CREATE INDEX calls_in_doubt ON calls (state, next_check_at) WHERE next_check_at > 0;

-- Apart from the calls, so that their rows stay short when they move.
CREATE TABLE answers (
    seq    BIGINT PRIMARY KEY,
    answer BYTEA
);

CREATE TABLE audit (
    seq             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              BIGINT NOT NULL,
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
    status          BIGINT NOT NULL,
    price           BIGINT NOT NULL,
    amount          BIGINT NOT NULL,
    object          TEXT    NOT NULL,
    duration_us     BIGINT NOT NULL,
    who             TEXT    NOT NULL,
    note            TEXT    NOT NULL
);
CREATE INDEX audit_by_run ON audit (run, seq);

-- What is left of calls that were pruned: their sums by the UTC day (days since
-- 1970) on which they were reserved.
CREATE TABLE daily_totals (
    run_no         BIGINT NOT NULL REFERENCES runs (run_no),
    issue_id       TEXT    NOT NULL,
    vendor         TEXT    NOT NULL,
    day_no         BIGINT NOT NULL,
    settled        BIGINT NOT NULL,
    settled_calls  BIGINT NOT NULL,
    released_calls BIGINT NOT NULL,
    declined_calls BIGINT NOT NULL,
    PRIMARY KEY (run_no, issue_id, vendor, day_no)
);
