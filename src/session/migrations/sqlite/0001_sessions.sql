CREATE TABLE foregate_migration (
    version    INTEGER PRIMARY KEY NOT NULL,
    applied_at INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

-- Times are Unix seconds.
CREATE TABLE foregate_session (
    key        BLOB    PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    profile    TEXT    NOT NULL,
    sid        TEXT,
    created_at INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    tokens     BLOB    NOT NULL,
    client     TEXT    NOT NULL,
    user_agent TEXT    NOT NULL
) STRICT;

CREATE INDEX foregate_session_person ON foregate_session (issuer, subject);
CREATE INDEX foregate_session_sid ON foregate_session (sid) WHERE sid IS NOT NULL;
CREATE INDEX foregate_session_end ON foregate_session (expires_at);
