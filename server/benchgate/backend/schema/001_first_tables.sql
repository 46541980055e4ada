-- The backend's tables as they were first released. A released change is never edited.

CREATE TABLE templates (
    template_id VARCHAR(64) NOT NULL,
    template_name TEXT NOT NULL,
    description TEXT,
    config TEXT NOT NULL,
    connection_id VARCHAR(64),
    tags JSON,
    usage_count INTEGER NOT NULL,
    last_used_at DATETIME,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    PRIMARY KEY (template_id)
);
CREATE INDEX ix_templates_connection_id ON templates (connection_id);

CREATE TABLE connections (
    connection_id VARCHAR(64) NOT NULL,
    connection_type VARCHAR(20) NOT NULL,
    is_default BOOLEAN NOT NULL,
    draft TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    PRIMARY KEY (connection_id)
);

CREATE TABLE runs (
    number INTEGER NOT NULL,
    run_id VARCHAR(64) NOT NULL,
    template_id VARCHAR(64) NOT NULL,
    template_name TEXT NOT NULL,
    config TEXT NOT NULL,
    seed BIGINT NOT NULL,
    status VARCHAR(20) NOT NULL,
    reason TEXT,
    created_at DATETIME NOT NULL,
    started_at DATETIME,
    ended_at DATETIME,
    updated_at DATETIME NOT NULL,
    elapsed_seconds FLOAT NOT NULL,
    measured_seconds FLOAT,
    cost_credits FLOAT,
    summary TEXT,
    errors TEXT,
    PRIMARY KEY (number),
    UNIQUE (run_id)
);
CREATE INDEX ix_runs_status ON runs (status);
CREATE INDEX ix_runs_template_id ON runs (template_id);

CREATE TABLE series (
    run_id VARCHAR(64) NOT NULL,
    number INTEGER NOT NULL,
    timestamp DATETIME NOT NULL,
    elapsed_seconds FLOAT NOT NULL,
    warmup BOOLEAN NOT NULL,
    ops_per_sec FLOAT NOT NULL,
    p50_latency FLOAT,
    p95_latency FLOAT,
    p99_latency FLOAT,
    error_rate FLOAT NOT NULL,
    active_connections INTEGER NOT NULL,
    PRIMARY KEY (run_id, number)
);
