-- What the provider last said of a person, and when: app tokens are judged by it. In Unix seconds.
ALTER TABLE foregate_person ADD COLUMN profile TEXT;
ALTER TABLE foregate_person ADD COLUMN vouched_at INTEGER NOT NULL DEFAULT 0;

-- Whoever is signed in need not sign in anew for it.
UPDATE foregate_person SET (profile, vouched_at) = (SELECT session.profile, session.created_at
    FROM foregate_session AS session WHERE session.issuer = foregate_person.issuer
    AND session.subject = foregate_person.subject ORDER BY session.created_at DESC LIMIT 1)
    WHERE EXISTS (SELECT 1 FROM foregate_session AS session WHERE session.issuer = foregate_person.issuer
    AND session.subject = foregate_person.subject);

-- Tokens of ours, each for one app. The proof is the SHA-256 of the whole token, and the id the beginning of that.
-- Networks are separated by spaces; without any it counts from everywhere. Times are Unix seconds.
CREATE TABLE foregate_token (
    id         BLOB    PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    proof      BLOB    NOT NULL CHECK (length(proof) = 32),
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    app        TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    networks   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX foregate_token_person ON foregate_token (issuer, subject);
