//! The SQL for SQLite. Knows not which of them make one change together.

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

/// The time in microseconds, as the database has it.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
    };
}

pub(super) const IS_NEW: &str =
    "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'foregate_migration')";
pub(super) const VERSION: &str = "SELECT coalesce(max(version), 0) FROM foregate_migration";
pub(super) const MIGRATED: &str = "INSERT INTO foregate_migration (version) VALUES (?1)";
pub(super) const NOW: &str = concat!("SELECT ", now!());

/// Keeps who it is among the people seen, and what the provider said of them: at ?8, if it has said nothing later, or now. A time that
/// is still to come was written by a clock that has been set back.
pub(super) const MEET: &str = "INSERT INTO foregate_person AS known \
    (issuer, subject, username, name, email, first_seen, last_seen, profile, vouched_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, coalesce(?8, unixepoch())) \
    ON CONFLICT (issuer, subject) DO UPDATE SET username = excluded.username, name = excluded.name, \
    email = excluded.email, last_seen = max(known.last_seen, excluded.last_seen), \
    profile = excluded.profile, vouched_at = excluded.vouched_at \
    WHERE ?8 IS NULL OR known.vouched_at <= ?8 OR known.vouched_at > unixepoch() \
    RETURNING disabled_at IS NULL";

pub(super) const INSERT: &str = "INSERT INTO foregate_session (id, proof, issuer, subject, profile, sid, created_at, \
    last_seen, expires_at, renew_at, tokens, client, user_agent) VALUES (:id, :proof, :issuer, :subject, :profile, \
    :sid, :created_at, :last_seen, :expires_at, :renew_at, :tokens, :client, :user_agent) ON CONFLICT (id) DO NOTHING";

pub(super) const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM foregate_session AS session WHERE id = ?1 AND proof = ?2 AND expires_at > ?3 AND last_seen > ?4 \
    AND NOT EXISTS (SELECT 1 FROM foregate_person AS person WHERE person.issuer = session.issuer \
    AND person.subject = session.subject AND person.disabled_at IS NOT NULL)"
);

pub(super) const REMOVE: &str =
    concat!("DELETE FROM foregate_session WHERE id = ?1 AND proof = ?2 RETURNING ", columns!());

pub(super) fn remove_some(condition: &str, limit: usize) -> String {
    format!(
        "DELETE FROM foregate_session WHERE id IN \
        (SELECT id FROM foregate_session WHERE {condition} LIMIT {limit}) RETURNING id"
    )
}

/// Writes down that a session ended or changed.
pub(super) const TELL: &str =
    "INSERT INTO foregate_change (session, author) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

pub(super) const ALIVE: &str = "SELECT id FROM foregate_session AS session WHERE id IN (SELECT unhex(value) FROM json_each(?1)) \
    AND NOT EXISTS (SELECT 1 FROM foregate_person AS person WHERE person.issuer = session.issuer \
    AND person.subject = session.subject AND person.disabled_at IS NOT NULL)";

pub(super) const TOUCH: &str = "UPDATE foregate_session SET last_seen = seen.time FROM \
    (SELECT unhex(value ->> 0) AS id, max(value ->> 1) AS time FROM json_each(?1) GROUP BY 1) AS seen \
    WHERE foregate_session.id = seen.id AND foregate_session.last_seen < seen.time";

/// Writes down that people are still here, once an hour.
pub(super) const MEET_AGAIN: &str = "UPDATE foregate_person AS known SET last_seen = here.time FROM \
    (SELECT issuer, subject, max(last_seen) AS time FROM foregate_session \
    WHERE id IN (SELECT unhex(value ->> 0) FROM json_each(?1)) GROUP BY issuer, subject) AS here \
    WHERE known.issuer = here.issuer AND known.subject = here.subject AND known.last_seen < here.time - 3600";

/// Both halves have an index.
pub(super) const SWEEP: &str = "DELETE FROM foregate_session WHERE id IN (SELECT id FROM \
    (SELECT id FROM foregate_session WHERE expires_at <= ?1 LIMIT ?3) UNION SELECT id FROM \
    (SELECT id FROM foregate_session WHERE seen_hour <= ?2 AND last_seen <= ?2 LIMIT ?3) LIMIT ?3)";

pub(super) const LEASE: &str = concat!(
    "UPDATE foregate_session SET leased_till = ",
    now!(),
    " + ?4 WHERE id = ?1 AND proof = ?2 AND version = ?3 AND leased_till <= ",
    now!(),
    " RETURNING ",
    columns!(),
    ", unixepoch()",
);

pub(super) const RENEW: &str = "UPDATE foregate_session SET profile = :profile, sid = :sid, renew_at = :renew_at, \
    version = :version, tokens = :tokens, leased_till = 0 \
    WHERE id = :id AND proof = :proof AND version = :version - 1 \
    AND NOT EXISTS (SELECT 1 FROM foregate_person \
    WHERE issuer = :issuer AND subject = :subject AND disabled_at IS NOT NULL)";

pub(super) const POSTPONE: &str = "UPDATE foregate_session SET renew_at = ?4, leased_till = 0 \
    WHERE id = ?1 AND proof = ?2 AND version = ?3";

pub(super) const CHANGES: &str =
    "SELECT at, session FROM foregate_change WHERE at > ?1 AND author <> ?2 LIMIT ?3";
pub(super) const TRIM: &str = concat!("DELETE FROM foregate_change WHERE at < ", now!(), " - ?1");

pub(super) const SPEND: &str =
    "INSERT INTO foregate_spent (ticket, until) VALUES (?1, ?2) ON CONFLICT (ticket) DO NOTHING";
pub(super) const TRIM_SPENT: &str = "DELETE FROM foregate_spent WHERE until < ?1";

pub(super) fn sessions(condition: &str) -> String {
    format!("SELECT {} FROM foregate_session WHERE {condition} AND id > ? ORDER BY id LIMIT ?", listed!())
}

/// A person's sessions that have not ended, those used last first.
pub(super) const RECENT: &str = concat!(
    "SELECT ",
    listed!(),
    " FROM foregate_session WHERE issuer = ?1 AND subject = ?2 AND expires_at > ?3 AND last_seen > ?4 \
    ORDER BY last_seen DESC, id LIMIT ?5"
);

/// Whom sessions are of that have not ended.
pub(super) const PROFILES: &str =
    "SELECT id, profile FROM foregate_session WHERE expires_at > ?1 AND last_seen > ?2 ORDER BY id LIMIT ?3";

/// Parameter 4, where there is a name to look for, is that name.
pub(super) fn people(by_name: bool) -> String {
    let named = if by_name { "AND username = ?4" } else { "" };
    format!(
        "SELECT page.issuer, page.subject, page.username, page.name, page.email, \
        page.first_seen, max(page.last_seen, coalesce(max(session.last_seen), 0)), page.disabled_at, \
        count(session.id) FROM (SELECT * FROM foregate_person WHERE (issuer, subject) > (?1, ?2) {named} \
        ORDER BY issuer, subject LIMIT ?3) AS page LEFT JOIN foregate_session AS session \
        ON session.issuer = page.issuer AND session.subject = page.subject \
        GROUP BY page.issuer, page.subject ORDER BY page.issuer, page.subject"
    )
}

pub(super) const DISABLE: &str = "UPDATE foregate_person SET disabled_at = \
    CASE WHEN ?3 IS NULL THEN NULL ELSE coalesce(disabled_at, ?3) END WHERE issuer = ?1 AND subject = ?2";

/// Before a person is enabled: what was left of their sessions when they were disabled, so that none comes back.
pub(super) const REMOVE_DISABLED: &str = "DELETE FROM foregate_session WHERE issuer = ?1 AND subject = ?2 \
    AND EXISTS (SELECT 1 FROM foregate_person WHERE issuer = ?1 AND subject = ?2 AND disabled_at IS NOT NULL) \
    RETURNING id";

pub(super) const IS_DISABLED: &str = "SELECT EXISTS (SELECT 1 FROM foregate_person \
    WHERE issuer = ?1 AND subject = ?2 AND disabled_at IS NOT NULL)";

pub(super) const KEEP_FACT: &str =
    "INSERT INTO foregate_fact (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
pub(super) const FACT: &str = "SELECT value FROM foregate_fact WHERE name = ?1";
/// What is kept of the person of whom the most is, as far as a look has time for.
pub(super) const LARGEST: &str = "SELECT profile FROM (SELECT profile FROM foregate_session LIMIT 100000) \
    ORDER BY length(profile) DESC LIMIT 1";
pub(super) const SET_FACT: &str = "INSERT INTO foregate_fact (name, value) VALUES (?1, ?2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
pub(super) const DROP_FACT: &str = "DELETE FROM foregate_fact WHERE name = ?1";

/// Writes down that a person's app tokens changed.
pub(super) const TELL_TOKENS: &str = "INSERT INTO foregate_change (session, author) \
    SELECT id, x'' FROM foregate_token WHERE issuer = ?1 AND subject = ?2 ON CONFLICT DO NOTHING";

pub(super) const COUNT_TOKENS: &str =
    "SELECT count(*) FROM foregate_token WHERE issuer = ?1 AND subject = ?2";

pub(super) const KEEP_TOKEN: &str = "INSERT INTO foregate_token (id, proof, issuer, subject, app, name, networks, \
    created_at, expires_at) SELECT :id, :proof, :issuer, :subject, :app, :name, :networks, :created_at, :expires_at \
    FROM foregate_person WHERE issuer = :issuer AND subject = :subject AND disabled_at IS NULL";

pub(super) const FIND_TOKEN: &str = concat!(
    "SELECT ",
    token!(),
    ", person.profile, person.vouched_at, person.disabled_at IS NOT NULL FROM foregate_token AS token \
    JOIN foregate_person AS person USING (issuer, subject) WHERE token.id = ?1 AND token.proof = ?2"
);

/// Whoever was forgotten has no name any more.
pub(super) fn tokens(condition: &str) -> String {
    format!(
        "SELECT {}, coalesce(person.username, ''), person.disabled_at IS NOT NULL FROM (SELECT * FROM foregate_token WHERE {condition} AND id > ? \
        ORDER BY id LIMIT ?) AS token LEFT JOIN foregate_person AS person ON person.issuer = token.issuer \
        AND person.subject = token.subject ORDER BY token.id",
        token!()
    )
}

pub(super) const TOUCH_TOKENS: &str = "UPDATE foregate_token SET last_used = used.time FROM \
    (SELECT unhex(value ->> 0) AS id, max(value ->> 1) AS time FROM json_each(?1) GROUP BY 1) AS used \
    WHERE foregate_token.id = used.id AND foregate_token.last_used < used.time";

pub(super) const TRIM_TOKENS: &str = "DELETE FROM foregate_token WHERE expires_at < ?1";

/// Parameters 10 and 11 are how many there may be, in all and of one origin.
pub(super) const KEEP_PAIRING: &str = "INSERT INTO foregate_pairing \
    (id, proof, user_code, app, name, client, origin, created_at, expires_at) \
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 \
    WHERE (SELECT count(*) FROM foregate_pairing WHERE expires_at > ?8) < ?10 \
    AND (SELECT count(*) FROM foregate_pairing WHERE expires_at > ?8 AND origin = ?7) < ?11 \
    ON CONFLICT DO NOTHING";

pub(super) const WAITING_PAIRING: &str = "SELECT app, name, client, created_at FROM foregate_pairing \
    WHERE user_code = ?1 AND expires_at > ?2 AND issuer IS NULL AND NOT refused";

pub(super) const APPROVE_PAIRING: &str = "UPDATE foregate_pairing SET issuer = ?3, subject = ?4 \
    WHERE user_code = ?1 AND expires_at > ?2 AND issuer IS NULL AND NOT refused \
    AND EXISTS (SELECT 1 FROM foregate_person AS person \
    WHERE person.issuer = ?3 AND person.subject = ?4 AND person.disabled_at IS NULL)";

pub(super) const REFUSE_PAIRING: &str = "UPDATE foregate_pairing SET refused = 1 \
    WHERE user_code = ?1 AND expires_at > ?2 AND issuer IS NULL AND NOT refused";

pub(super) const FIND_PAIRING: &str = concat!(
    "SELECT app, name, issuer, subject, refused, expires_at, ",
    now!(),
    " - asked_at FROM foregate_pairing WHERE id = ?1 AND proof = ?2"
);

pub(super) const NOTE_POLL: &str =
    concat!("UPDATE foregate_pairing SET asked_at = ", now!(), " WHERE id = ?1 AND proof = ?2");

pub(super) const END_PAIRING: &str = "DELETE FROM foregate_pairing WHERE id = ?1 AND proof = ?2 \
    AND issuer = ?3 AND subject = ?4 AND NOT refused AND expires_at > ?5";

pub(super) const TRIM_PAIRINGS: &str = "DELETE FROM foregate_pairing WHERE expires_at < ?1";
