//! The SQL for PostgreSQL. Statements that end or change sessions write down which, in the same transaction. An end has
//! no author, so that also the process it came from finds it, which may have lost the answer.

/// What is read of a session.
macro_rules! columns {
    () => {
        "id, proof, profile, sid, created_at, last_seen, expires_at, renew_at, version, tokens, client, user_agent"
    };
}

/// What is read of a session for a list.
macro_rules! listed {
    () => {
        "id, issuer, subject, profile ->> 'username', created_at, last_seen, expires_at, client, user_agent"
    };
}

/// What is read of an app token.
macro_rules! token {
    () => {
        "token.id, token.proof, token.issuer, token.subject, token.app, token.name, token.networks, token.created_at, \
        token.expires_at, token.last_used"
    };
}

/// The store's own time in microseconds, the same for every replica.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    };
}

/// Keeps who it is among the people seen, and what the provider just said of them: parameters 1 to 6, and 9.
macro_rules! person {
    () => {
        "WITH person AS (INSERT INTO foregate_person AS known \
        (issuer, subject, username, name, email, first_seen, last_seen, profile, vouched_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $6, $9, extract(epoch FROM clock_timestamp())::bigint) \
        ON CONFLICT (issuer, subject) DO UPDATE SET username = excluded.username, name = excluded.name, \
        email = excluded.email, last_seen = greatest(known.last_seen, excluded.last_seen), \
        profile = excluded.profile, vouched_at = excluded.vouched_at \
        RETURNING disabled_at IS NULL AS welcome), "
    };
}

/// Keeps a replica that gave up from waiting on in the server.
pub(super) const WAIT_BRIEFLY: &str = "SET LOCAL lock_timeout = '2s'";
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
pub(super) const IS_NEW: &str = "SELECT to_regclass('foregate_migration') IS NULL";
pub(super) const VERSION: &str = "SELECT coalesce(max(version), 0) FROM foregate_migration";
pub(super) const MIGRATED: &str = "INSERT INTO foregate_migration (version) VALUES ($1)";
pub(super) const PROBE: &str = "SELECT 1 FROM foregate_session LIMIT 1";

/// Who disables a person at the same moment waits for this row, or is waited for: the session is kept before their
/// sessions are ended, or not at all.
pub(super) const INSERT: &str = concat!(
    person!(),
    "kept AS (INSERT INTO foregate_session (id, proof, issuer, subject, profile, sid, created_at, last_seen, \
    expires_at, renew_at, tokens, client, user_agent) \
    SELECT $7, $8, $1, $2, $9, $10, $11, $12, $13, $14, $15, $16, $17 FROM person WHERE welcome \
    ON CONFLICT (id) DO NOTHING) SELECT welcome FROM person"
);

pub(super) const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM foregate_session AS session WHERE id = $1 AND proof = $2 AND expires_at > $3 AND last_seen > $4 \
    AND NOT EXISTS (SELECT 1 FROM foregate_person AS person WHERE person.issuer = session.issuer \
    AND person.subject = session.subject AND person.disabled_at IS NOT NULL)"
);

pub(super) const REMOVE: &str = concat!(
    "WITH gone AS (DELETE FROM foregate_session WHERE id = $1 AND proof = $2 RETURNING ",
    columns!(),
    "), told AS (INSERT INTO foregate_change (session, author) SELECT id, ''::bytea FROM gone \
    ON CONFLICT DO NOTHING) SELECT * FROM gone"
);

/// Locks in the order of the ids, as touches do.
pub(super) fn remove_some(condition: &str, limit: usize) -> String {
    format!(
        "WITH picked AS (SELECT id FROM foregate_session WHERE {condition} ORDER BY id LIMIT {limit} FOR UPDATE), \
        gone AS (DELETE FROM foregate_session AS session USING picked WHERE session.id = picked.id \
        RETURNING session.id), \
        told AS (INSERT INTO foregate_change (session, author) SELECT id, ''::bytea FROM gone \
        ON CONFLICT DO NOTHING) SELECT id FROM gone"
    )
}

pub(super) const ALIVE: &str = "SELECT id FROM foregate_session AS session WHERE id = ANY($1) AND NOT EXISTS \
    (SELECT 1 FROM foregate_person AS person WHERE person.issuer = session.issuer \
    AND person.subject = session.subject AND person.disabled_at IS NOT NULL)";

/// Locks in the order of the ids, so that two replicas with the same sessions do not wait for each other. People who
/// are locked by somebody else are met again another time.
pub(super) const TOUCH: &str = "WITH seen AS (SELECT id, max(time) AS time FROM unnest($1, $2) AS given (id, time) \
    GROUP BY id), \
    late AS (SELECT session.id, session.issuer, session.subject, seen.time FROM foregate_session AS session \
    JOIN seen USING (id) WHERE session.last_seen < seen.time ORDER BY session.id FOR NO KEY UPDATE OF session), \
    people AS (SELECT issuer, subject, max(time) AS time FROM late GROUP BY issuer, subject), \
    absent AS (SELECT known.issuer, known.subject, people.time FROM foregate_person AS known \
    JOIN people USING (issuer, subject) WHERE known.last_seen < people.time - 3600 \
    FOR NO KEY UPDATE OF known SKIP LOCKED), \
    met AS (UPDATE foregate_person AS known SET last_seen = absent.time FROM absent \
    WHERE known.issuer = absent.issuer AND known.subject = absent.subject) \
    UPDATE foregate_session AS session SET last_seen = late.time FROM late \
    WHERE session.id = late.id AND session.last_seen < late.time";

/// Both halves have an index. The lock is tried, so that one replica sweeps and the others go on.
pub(super) const SWEEP: &str = "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($4) AS ours), \
    dead AS (SELECT id FROM ((SELECT id FROM foregate_session WHERE expires_at <= $1 LIMIT $3) UNION \
    (SELECT id FROM foregate_session WHERE seen_hour <= $2 AND last_seen <= $2 LIMIT $3)) AS both_kinds \
    WHERE (SELECT ours FROM turn) LIMIT $3), \
    held AS (SELECT id FROM foregate_session JOIN dead USING (id) FOR UPDATE OF foregate_session SKIP LOCKED), \
    gone AS (DELETE FROM foregate_session AS session USING held WHERE session.id = held.id \
    AND (session.expires_at <= $1 OR session.last_seen <= $2) RETURNING 1) \
    SELECT count(*) FROM gone";

pub(super) const LEASE: &str = concat!(
    "UPDATE foregate_session SET leased_till = ",
    now!(),
    " + $4 WHERE id = $1 AND proof = $2 AND version = $3 AND leased_till <= ",
    now!(),
    " RETURNING ",
    columns!(),
    ", extract(epoch FROM clock_timestamp())::bigint",
);

/// Parameter 15 is when the provider said it of the person, by the store's own time, if it did: that is kept unless it has said
/// something later. A time that is still to come was written by a clock that has been set back.
pub(super) const RENEW: &str = "WITH kept AS (UPDATE foregate_session \
    SET profile = $9, sid = $10, renew_at = $11, version = $12, tokens = $13, leased_till = 0 \
    WHERE id = $7 AND proof = $8 AND version = $12 - 1 AND NOT EXISTS (SELECT 1 FROM foregate_person AS person \
    WHERE person.issuer = $1 AND person.subject = $2 AND person.disabled_at IS NOT NULL) RETURNING id), \
    met AS (INSERT INTO foregate_person AS known \
    (issuer, subject, username, name, email, first_seen, last_seen, profile, vouched_at) \
    SELECT $1, $2, $3, $4, $5, $6, $6, $9, $15 FROM kept WHERE $15 IS NOT NULL \
    ON CONFLICT (issuer, subject) DO UPDATE SET username = excluded.username, name = excluded.name, \
    email = excluded.email, last_seen = greatest(known.last_seen, excluded.last_seen), \
    profile = excluded.profile, vouched_at = excluded.vouched_at \
    WHERE known.vouched_at <= excluded.vouched_at \
    OR known.vouched_at > extract(epoch FROM clock_timestamp())::bigint), \
    told AS (INSERT INTO foregate_change (session, author) SELECT id, $14 FROM kept ON CONFLICT DO NOTHING) \
    SELECT id FROM kept";

pub(super) const POSTPONE: &str = "UPDATE foregate_session SET renew_at = $4, leased_till = 0 \
    WHERE id = $1 AND proof = $2 AND version = $3";

pub(super) const CHANGES: &str = concat!(
    "SELECT store.now, change.at, change.session FROM (SELECT ",
    now!(),
    " AS now) AS store LEFT JOIN foregate_change AS change ON change.at > $1 AND change.author <> $2 LIMIT $3"
);

pub(super) const TRIM: &str = concat!("DELETE FROM foregate_change WHERE at < (SELECT ", now!(), " - $1)");

/// Sent twice, it may find its own row: then a good ticket counts as used, never a used one as good.
pub(super) const SPEND: &str = "INSERT INTO foregate_spent (ticket, until) VALUES ($1, $2) \
    ON CONFLICT (ticket) DO NOTHING RETURNING 1";
pub(super) const TRIM_SPENT: &str = "DELETE FROM foregate_spent WHERE until < $1";

pub(super) const ANNOUNCE: &str = "SELECT pg_notify('foregate_change', '')";
pub(super) const LISTEN: &str = "LISTEN foregate_change";

/// `last` is the number of the last parameter, the limit; the one before it is the id to go on behind.
pub(super) fn sessions(condition: &str, last: usize) -> String {
    let after = last - 1;
    format!(
        "SELECT {} FROM foregate_session WHERE {condition} AND id > ${after} ORDER BY id LIMIT ${last}",
        listed!()
    )
}

/// A person's sessions that have not ended, those used last first.
pub(super) const RECENT: &str = concat!(
    "SELECT ",
    listed!(),
    " FROM foregate_session WHERE issuer = $1 AND subject = $2 AND expires_at > $3 AND last_seen > $4 \
    ORDER BY last_seen DESC, id LIMIT $5"
);

/// Whom sessions are of that have not ended.
pub(super) const PROFILES: &str =
    "SELECT id, profile FROM foregate_session WHERE expires_at > $1 AND last_seen > $2 ORDER BY id LIMIT $3";

pub(super) fn people(by_name: bool) -> String {
    let named = if by_name { "AND username = $4" } else { "" };
    format!(
        "WITH page AS (SELECT * FROM foregate_person WHERE (issuer, subject) > ($1, $2) {named} \
        ORDER BY issuer, subject LIMIT $3) \
        SELECT page.issuer, page.subject, page.username, page.name, page.email, page.first_seen, \
        greatest(page.last_seen, coalesce(held.last_seen, 0)), page.disabled_at, coalesce(held.sessions, 0) \
        FROM page LEFT JOIN LATERAL (SELECT max(last_seen) AS last_seen, count(*) AS sessions FROM foregate_session \
        AS session WHERE session.issuer = page.issuer AND session.subject = page.subject) AS held ON true \
        ORDER BY page.issuer, page.subject"
    )
}

pub(super) const DISABLE: &str = "WITH known AS (UPDATE foregate_person SET disabled_at = coalesce(disabled_at, $3) \
    WHERE issuer = $1 AND subject = $2 RETURNING 1), \
    told AS (INSERT INTO foregate_change (session, author) SELECT id, ''::bytea FROM foregate_token \
    WHERE issuer = $1 AND subject = $2 ON CONFLICT DO NOTHING) SELECT 1 FROM known";

/// Ends what was left of a person's sessions when they were disabled, so that none comes back.
pub(super) const ENABLE: &str = "WITH gone AS (DELETE FROM foregate_session AS session USING foregate_person AS person \
    WHERE session.issuer = $1 AND session.subject = $2 AND person.issuer = $1 AND person.subject = $2 \
    AND person.disabled_at IS NOT NULL RETURNING session.id), \
    known AS (UPDATE foregate_person SET disabled_at = NULL WHERE issuer = $1 AND subject = $2 RETURNING 1), \
    told AS (INSERT INTO foregate_change (session, author) SELECT id, ''::bytea FROM gone UNION ALL \
    SELECT id, ''::bytea FROM foregate_token WHERE issuer = $1 AND subject = $2 ON CONFLICT DO NOTHING) \
    SELECT 1 FROM known";

pub(super) const IS_DISABLED: &str = "SELECT 1 FROM foregate_person \
    WHERE issuer = $1 AND subject = $2 AND disabled_at IS NOT NULL";

pub(super) const FACT: &str = "WITH kept AS (INSERT INTO foregate_fact (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO NOTHING RETURNING value) \
    SELECT value FROM kept UNION ALL SELECT value FROM foregate_fact WHERE name = $1 LIMIT 1";
pub(super) const SHOW_FACT: &str = "SELECT value FROM foregate_fact WHERE name = $1";
/// What is kept of the person of whom the most is, as far as a look has time for.
pub(super) const LARGEST: &str = "SELECT profile FROM (SELECT profile FROM foregate_session LIMIT 100000) AS kept \
    ORDER BY octet_length(profile::text) DESC LIMIT 1";
pub(super) const NOW: &str = concat!("SELECT ", now!());
/// Tables that this role may not use as foregate does.
pub(super) const NOT_OURS: &str = "SELECT string_agg(name, ', ') FROM (VALUES ('foregate_session'), \
    ('foregate_person'), ('foregate_change'), ('foregate_fact'), ('foregate_spent'), \
    ('foregate_token'), ('foregate_pairing')) AS own (name) WHERE NOT \
    (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT') \
    AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))";
pub(super) const LOOK_BRIEFLY: &str = "SET LOCAL statement_timeout = '3s'";
/// Changes that are only tried.
pub(super) const TRY_FACT: &str =
    "INSERT INTO foregate_fact (name, value) VALUES ('foregate check', '') ON CONFLICT (name) DO NOTHING";
pub(super) const TRY_TABLE: &str = "CREATE TABLE foregate_check (tried integer)";
pub(super) const SET_FACT: &str = "INSERT INTO foregate_fact (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const DROP_FACT: &str = "DELETE FROM foregate_fact WHERE name = $1";

/// Before a token of a person is kept, in the same change: of those that keep one at once, one counts after the other has
/// kept. Waits for whoever disables the person at this moment, or is waited for.
pub(super) const HOLD_PERSON: &str = "SELECT 1 FROM foregate_person \
    WHERE issuer = $1 AND subject = $2 AND disabled_at IS NULL FOR NO KEY UPDATE";

/// Behind [`HOLD_PERSON`]. Parameter 10 is how many tokens there may be. Sent twice, it does not count its own row.
pub(super) const KEEP_TOKEN: &str = "INSERT INTO foregate_token \
    (id, proof, issuer, subject, app, name, networks, created_at, expires_at) \
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM foregate_person \
    WHERE issuer = $3 AND subject = $4 AND disabled_at IS NULL \
    AND (SELECT count(*) FROM foregate_token WHERE issuer = $3 AND subject = $4 AND id <> $1) < $10 \
    ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING 1";

pub(super) const FIND_TOKEN: &str = concat!(
    "SELECT ",
    token!(),
    ", person.profile, person.vouched_at, person.disabled_at IS NOT NULL FROM foregate_token AS token \
    JOIN foregate_person AS person USING (issuer, subject) WHERE token.id = $1 AND token.proof = $2"
);

/// `last` is the number of the last parameter, the limit; the one before it is the id to go on behind.
pub(super) fn tokens(condition: &str, last: usize) -> String {
    let after = last - 1;
    format!(
        "SELECT {}, coalesce(person.username, ''), person.disabled_at IS NOT NULL FROM (SELECT * FROM foregate_token WHERE {condition} AND id > ${after} \
        ORDER BY id LIMIT ${last}) AS token LEFT JOIN foregate_person AS person ON person.issuer = token.issuer \
        AND person.subject = token.subject ORDER BY token.id",
        token!()
    )
}

pub(super) fn revoke_tokens(condition: &str) -> String {
    format!(
        "WITH gone AS (DELETE FROM foregate_token WHERE {condition} RETURNING id), \
        told AS (INSERT INTO foregate_change (session, author) SELECT id, ''::bytea FROM gone \
        ON CONFLICT DO NOTHING) SELECT id FROM gone"
    )
}

pub(super) const TOUCH_TOKENS: &str = "UPDATE foregate_token AS token SET last_used = used.time FROM \
    (SELECT id, max(time) AS time FROM unnest($1, $2) AS given (id, time) GROUP BY id) AS used \
    WHERE token.id = used.id AND token.last_used < used.time";

pub(super) const TRIM_TOKENS: &str = "DELETE FROM foregate_token WHERE expires_at < $1";

/// Parameters 10 and 11 are how many there may be, in all and of one origin. Sent twice, it finds its own row.
pub(super) const KEEP_PAIRING: &str = "WITH kept AS (INSERT INTO foregate_pairing \
    (id, proof, user_code, app, name, client, origin, created_at, expires_at) \
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 \
    WHERE (SELECT count(*) FROM foregate_pairing WHERE expires_at > $8) < $10 \
    AND (SELECT count(*) FROM foregate_pairing WHERE expires_at > $8 AND origin = $7) < $11 \
    ON CONFLICT DO NOTHING RETURNING 1) \
    SELECT 1 FROM kept UNION ALL SELECT 1 FROM foregate_pairing WHERE id = $1 AND proof = $2";

pub(super) const WAITING_PAIRING: &str = "SELECT app, name, client, created_at FROM foregate_pairing \
    WHERE user_code = $1 AND expires_at > $2 AND issuer IS NULL AND NOT refused";

/// May be sent twice, as may the next.
pub(super) const APPROVE_PAIRING: &str = "UPDATE foregate_pairing SET issuer = $3, subject = $4 \
    WHERE user_code = $1 AND expires_at > $2 AND NOT refused \
    AND (issuer IS NULL OR (issuer = $3 AND subject = $4)) \
    AND EXISTS (SELECT 1 FROM foregate_person AS person \
    WHERE person.issuer = $3 AND person.subject = $4 AND person.disabled_at IS NULL) RETURNING 1";

pub(super) const REFUSE_PAIRING: &str = "UPDATE foregate_pairing SET refused = true \
    WHERE user_code = $1 AND expires_at > $2 AND issuer IS NULL RETURNING 1";

/// The time since the poll before is read, and this poll written down.
pub(super) const POLL_PAIRING: &str = concat!(
    "WITH polled AS (SELECT id, app, name, issuer, subject, refused, expires_at, ",
    now!(),
    " - asked_at AS pause FROM foregate_pairing WHERE id = $1 AND proof = $2 FOR UPDATE), \
    noted AS (UPDATE foregate_pairing AS pairing SET asked_at = ",
    now!(),
    " FROM polled WHERE pairing.id = polled.id) \
    SELECT app, name, issuer, subject, refused, expires_at, pause FROM polled"
);

/// Behind [`HOLD_PERSON`], so that of two that collect at once one finds nothing. Parameter 12 is how many tokens there may be.
/// Sent twice, it finds the token that it made.
pub(super) const COLLECT_PAIRING: &str = "WITH gone AS (DELETE FROM foregate_pairing WHERE id = $1 AND proof = $2 \
    AND issuer = $5 AND subject = $6 AND NOT refused AND expires_at > $10 RETURNING issuer, subject), \
    person AS (SELECT person.issuer FROM foregate_person AS person JOIN gone USING (issuer, subject) \
    WHERE person.disabled_at IS NULL), \
    made AS (INSERT INTO foregate_token (id, proof, issuer, subject, app, name, networks, created_at, expires_at) \
    SELECT $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM person \
    WHERE (SELECT count(*) FROM foregate_token WHERE issuer = $5 AND subject = $6) < $12 RETURNING 1) \
    SELECT 1 FROM made UNION ALL SELECT 1 FROM foregate_token WHERE id = $3 AND proof = $4";

pub(super) const TRIM_PAIRINGS: &str = "DELETE FROM foregate_pairing WHERE expires_at < $1";
