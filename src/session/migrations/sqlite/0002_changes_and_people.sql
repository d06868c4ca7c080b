-- Rows are found by the public half of the handle, so that other processes can be told which session changed. Rows of
-- the first schema do not know it: those who are signed in sign in once more.
DROP TABLE foregate_session;

-- Times are Unix seconds, unless they are the database's own: those are microseconds.
CREATE TABLE foregate_session (
    id          BLOB    PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    proof       BLOB    NOT NULL CHECK (length(proof) = 32),
    issuer      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    profile     TEXT    NOT NULL,
    sid         TEXT,
    created_at  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    renew_at    INTEGER,
    version     INTEGER NOT NULL DEFAULT 0,
    leased_till INTEGER NOT NULL DEFAULT 0,
    tokens      BLOB    NOT NULL,
    client      TEXT    NOT NULL,
    user_agent  TEXT    NOT NULL,
    seen_hour   INTEGER NOT NULL GENERATED ALWAYS AS (last_seen - last_seen % 3600) STORED
) STRICT;

CREATE INDEX foregate_session_person ON foregate_session (issuer, subject);
CREATE INDEX foregate_session_sid ON foregate_session (sid) WHERE sid IS NOT NULL;
CREATE INDEX foregate_session_end ON foregate_session (expires_at);
CREATE INDEX foregate_session_seen ON foregate_session (seen_hour);

-- Everybody who has signed in.
CREATE TABLE foregate_person (
    issuer      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    username    TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    email       TEXT    NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    disabled_at INTEGER,
    PRIMARY KEY (issuer, subject)
) STRICT;

CREATE INDEX foregate_person_username ON foregate_person (username);

-- What must not be remembered any more: a session that ended or changed, or all of them (empty). An end has no author.
CREATE TABLE foregate_change (
    at      INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    session BLOB    NOT NULL,
    author  BLOB    NOT NULL,
    PRIMARY KEY (at, session)
) STRICT;

-- Facts about the store as a whole, such as whose keys seal what is in it.
CREATE TABLE foregate_fact (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;
