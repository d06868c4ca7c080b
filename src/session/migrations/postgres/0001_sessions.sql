CREATE TABLE foregate_migration (
    version    bigint      PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Times are Unix seconds. last_seen is in no index, so that touching a row stays a heap-only update;
-- the fill factor leaves the page room for it.
CREATE TABLE foregate_session (
    key        bytea  PRIMARY KEY CHECK (octet_length(key) = 32),
    issuer     text   NOT NULL,
    subject    text   NOT NULL,
    profile    jsonb  NOT NULL,
    sid        text,
    created_at bigint NOT NULL,
    last_seen  bigint NOT NULL,
    expires_at bigint NOT NULL,
    tokens     bytea  NOT NULL,
    client     text   NOT NULL,
    user_agent text   NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX foregate_session_person ON foregate_session (issuer, subject);
CREATE INDEX foregate_session_sid ON foregate_session (sid) WHERE sid IS NOT NULL;
CREATE INDEX foregate_session_end ON foregate_session (expires_at);
