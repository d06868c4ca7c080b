-- Devices that ask for an app token and wait for a person. The proof is the SHA-256 of the device code, and the id the
-- beginning of that; the user code is an HMAC under a sealing key. Issuer and subject are whoever approved. The origin is the
-- client's address or network, to count by. Times are Unix seconds, but for asked_at: microseconds by the store's own clock.
CREATE TABLE foregate_pairing (
    id         BLOB    PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    proof      BLOB    NOT NULL CHECK (length(proof) = 32),
    user_code  BLOB    NOT NULL UNIQUE CHECK (length(user_code) = 32),
    app        TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    asked_at   INTEGER NOT NULL DEFAULT 0,
    refused    INTEGER NOT NULL DEFAULT 0,
    issuer     TEXT,
    subject    TEXT,
    CHECK ((issuer IS NULL) = (subject IS NULL))
) STRICT;

CREATE INDEX foregate_pairing_expires ON foregate_pairing (expires_at);
