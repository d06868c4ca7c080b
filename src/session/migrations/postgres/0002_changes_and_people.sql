-- Rows are found by the public half of the handle, so that other replicas can be told which session changed. Rows of
-- the first schema do not know it: those who are signed in sign in once more.
DROP TABLE foregate_session;

-- Times are Unix seconds, unless they are the database's own: those are microseconds. last_seen is in no index, and
-- seen_hour changes once an hour, so that touching a row stays a heap-only update; the fill factor leaves the page
-- room for it.
CREATE TABLE foregate_session (
    id          bytea  PRIMARY KEY CHECK (octet_length(id) = 16),
    proof       bytea  NOT NULL CHECK (octet_length(proof) = 32),
    issuer      text   NOT NULL,
    subject     text   NOT NULL,
    profile     jsonb  NOT NULL,
    sid         text,
    created_at  bigint NOT NULL,
    last_seen   bigint NOT NULL,
    expires_at  bigint NOT NULL,
    renew_at    bigint,
    version     bigint NOT NULL DEFAULT 0,
    leased_till bigint NOT NULL DEFAULT 0,
    tokens      bytea  NOT NULL,
    client      text   NOT NULL,
    user_agent  text   NOT NULL,
    seen_hour   bigint NOT NULL GENERATED ALWAYS AS (last_seen - last_seen % 3600) STORED
) WITH (fillfactor = 80);

CREATE INDEX foregate_session_person ON foregate_session (issuer, subject);
CREATE INDEX foregate_session_sid ON foregate_session (sid) WHERE sid IS NOT NULL;
CREATE INDEX foregate_session_end ON foregate_session (expires_at);
CREATE INDEX foregate_session_seen ON foregate_session (seen_hour);

-- Everybody who has signed in.
CREATE TABLE foregate_person (
    issuer      text   NOT NULL,
    subject     text   NOT NULL,
    username    text   NOT NULL,
    name        text   NOT NULL,
    email       text   NOT NULL,
    first_seen  bigint NOT NULL,
    last_seen   bigint NOT NULL,
    disabled_at bigint,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX foregate_person_username ON foregate_person (username);

-- What must not be remembered any more: a session that ended or changed, or all of them (empty). An end has no author.
CREATE TABLE foregate_change (
    at      bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    session bytea  NOT NULL,
    author  bytea  NOT NULL,
    PRIMARY KEY (at, session)
);

-- Facts about the store as a whole, such as whose keys seal what is in it.
CREATE TABLE foregate_fact (
    name  text PRIMARY KEY,
    value text NOT NULL
);
