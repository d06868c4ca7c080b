-- What the provider last said of a person, and when: app tokens are judged by it. In Unix seconds.
ALTER TABLE foregate_person ADD COLUMN profile jsonb, ADD COLUMN vouched_at bigint NOT NULL DEFAULT 0;

-- Whoever is signed in need not sign in anew for it.
UPDATE foregate_person AS person SET profile = newest.profile, vouched_at = newest.created_at
    FROM (SELECT DISTINCT ON (issuer, subject) issuer, subject, profile, created_at FROM foregate_session
    ORDER BY issuer, subject, created_at DESC) AS newest
    WHERE person.issuer = newest.issuer AND person.subject = newest.subject;

-- Tokens of ours, each for one app. The proof is the SHA-256 of the whole token, and the id the beginning of that.
-- Networks are separated by spaces; without any it counts from everywhere. Times are Unix seconds.
CREATE TABLE foregate_token (
    id         bytea  PRIMARY KEY CHECK (octet_length(id) = 16),
    proof      bytea  NOT NULL CHECK (octet_length(proof) = 32),
    issuer     text   NOT NULL,
    subject    text   NOT NULL,
    app        text   NOT NULL,
    name       text   NOT NULL,
    networks   text   NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    last_used  bigint NOT NULL DEFAULT 0
);

CREATE INDEX foregate_token_person ON foregate_token (issuer, subject);
