-- Devices that ask for an app token and wait for a person. The proof is the SHA-256 of the device code, and the id the
-- beginning of that; the user code is an HMAC under a sealing key. Issuer and subject are whoever approved. The origin is the
-- client's address or network, to count by. Times are Unix seconds, but for asked_at: microseconds by the store's own clock.
CREATE TABLE foregate_pairing (
    id         bytea   PRIMARY KEY CHECK (octet_length(id) = 16),
    proof      bytea   NOT NULL CHECK (octet_length(proof) = 32),
    user_code  bytea   NOT NULL UNIQUE CHECK (octet_length(user_code) = 32),
    app        text    NOT NULL,
    name       text    NOT NULL,
    client     text    NOT NULL,
    origin     text    NOT NULL,
    created_at bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    asked_at   bigint  NOT NULL DEFAULT 0,
    refused    boolean NOT NULL DEFAULT false,
    issuer     text,
    subject    text,
    CHECK ((issuer IS NULL) = (subject IS NULL))
);

CREATE INDEX foregate_pairing_expires ON foregate_pairing (expires_at);
