//! The contract of the session store, one suite for every store; then what only one of them can show.

use foregate::identity::{Asked, Profile, Proof};
use foregate::session::store::{
    Admission, Claim, Location, PairingRow, PersonKey, Room, Row, Selection, SessionId, SessionKey,
    SessionStore, StoreError, TokenKept, TokenRow, Told,
};
use serde_json::json;
use tokio::task::JoinSet;

/// A place for sessions that can be opened again and again, and meddled with.
enum Place {
    #[cfg(feature = "sqlite")]
    File(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl Place {
    #[cfg(feature = "sqlite")]
    async fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    #[cfg(feature = "postgres")]
    async fn postgres() -> Self {
        Self::Postgres(crate::support::postgres::shared().fresh().await)
    }

    fn location(&self) -> Location {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(home) => Location::Sqlite(home.path().join("sessions.db")),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => Location::Postgres(foregate::secret::Secret::new(url)),
        }
    }

    fn open(&self) -> SessionStore {
        SessionStore::open(&self.location()).unwrap()
    }

    async fn run_sql(&self, sql: &str) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(_) => self.sqlite().execute_batch(sql).unwrap(),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => crate::support::postgres::run_sql(url, sql).await,
        }
    }

    async fn number(&self, sql: &str) -> i64 {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(_) => self.sqlite().query_row(sql, (), |row| row.get(0)).unwrap(),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => crate::support::postgres::number(url, sql).await,
        }
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(&self) -> rusqlite::Connection {
        let Location::Sqlite(path) = self.location() else { panic!("this place is no file") };
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        connection
    }
}

/// Every case once for every store.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test] async fn $case() { super::$case(super::Place::file().await).await; })*
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test] async fn $case() { super::$case(super::Place::postgres().await).await; })*
        }
    };
}

contract![
    every_field_comes_back_as_it_was_kept,
    a_row_is_kept_once,
    find_hides_the_expired_and_the_idle,
    remove_hands_out_the_row_once,
    remove_some_ends_those_selected_and_no_others,
    what_a_provider_tells_ends_its_own_older_sessions,
    others_learn_what_ended_or_changed,
    changes_are_forgotten_in_time,
    a_lease_is_for_one_and_ends_by_itself,
    a_renewal_is_kept_once_and_revives_nothing,
    people_are_seen_and_counted,
    the_disabled_have_no_sessions,
    disabling_and_signing_in_at_once_leave_no_session,
    lists_come_in_pages,
    a_persons_own_list_has_those_used_last_first,
    app_tokens_are_found_with_what_was_last_said_of_their_owner,
    what_is_known_of_a_person_never_goes_back,
    whoever_is_enabled_gets_no_session_back,
    nobody_has_more_app_tokens_than_there_may_be,
    revoking_app_tokens_and_disabling_their_owner_is_told,
    a_pairing_is_decided_once_and_collected_once,
    pairings_are_bounded_and_forgotten,
    a_fact_is_kept_by_the_first,
    a_ticket_is_spent_once_whoever_asks,
    alive_tells_thousands_at_once,
    touch_tells_thousands_at_once,
    touch_makes_no_rows_and_never_goes_back,
    sweep_is_bounded_and_leaves_the_living,
    sweeps_and_touches_at_once_all_succeed,
    ten_opens_at_once_migrate_once,
    a_newer_schema_is_left_alone,
    a_damaged_row_is_told_of_and_can_be_removed,
    a_nul_is_kept_whole_or_refused,
    a_name_too_long_for_an_index_is_kept_whole_or_refused,
    a_dropped_future_leaves_no_half,
];

async fn every_field_comes_back_as_it_was_kept(place: Place) {
    let store = place.open();
    let rich = Row {
        key: key(1),
        renew_at: Some(1_700_000_004),
        version: 0,
        profile: Profile {
            issuer: "https://id.test/übung/".into(),
            subject: "s-1 ✓".into(),
            username: "zoë".into(),
            nameless: true,
            name: "Zoë Ångström 漢字 🦀 \"'\\;--".into(),
            email: "zoë@exämple.test".into(),
            groups: vec!["Führung".into(), String::new(), "a,c".into()],
            claims: serde_json::from_value(json!({
                "null": null, "number": 1.5, "big": u64::MAX, "small": i64::MIN, "list": [1, "zwei", {"drei": []}], "": "\u{1}\n",
            }))
            .unwrap(),
            auth_time: 1_700_000_000,
            asked: Some(Asked {
                wanted: Proof { max_age: Some(600), acr: vec!["mfa".into()], amr: Vec::new() },
                at: 1_700_000_001,
            }),
        },
        sid: Some("sïd".into()),
        created_at: 1_700_000_001,
        last_seen: 1_700_000_002,
        expires_at: 1_700_000_003,
        tokens: (0..=255).collect(),
        client: "2001:db8::1".into(),
        user_agent: "Bröwser/1.0 (\u{202e}X)".into(),
    };
    let bare =
        Row { sid: None, tokens: Vec::new(), client: String::new(), user_agent: String::new(), ..row(2) };
    for row in [&rich, &bare] {
        store.insert(row).await.unwrap();
    }
    assert_eq!(place.open().find(&rich.key, 1_700_000_002, 60).await.unwrap(), Some(rich));
    assert_eq!(store.find(&bare.key, NOW, IDLE).await.unwrap(), Some(bare));
    assert_eq!(store.find(&key(3), NOW, IDLE).await.unwrap(), None);
    store.probe().await.unwrap();
}

async fn a_row_is_kept_once(place: Place) {
    let store = place.open();
    store.insert(&row(1)).await.unwrap();
    store.insert(&Row { client: "192.0.2.9".into(), ..row(1) }).await.unwrap();
    assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), Some(row(1)));
}

async fn find_hides_the_expired_and_the_idle(place: Place) {
    let store = place.open();
    store.insert(&Row { last_seen: 1_000, expires_at: 2_000, ..row(1) }).await.unwrap();
    for (now, idle, is_live) in [
        (1_000, 1, true),
        (1_999, 1_000, true),
        (2_000, 10_000, false),
        (2_001, 10_000, false),
        (1_099, 100, true),
        (1_100, 100, false),
        (1_101, 100, false),
        (1_000, 0, false),
        (0, 0, true),
        (0, u64::MAX, true),
        (1_999, u64::MAX, true),
        (u64::MAX, u64::MAX, false),
    ] {
        let found = store.find(&key(1), now, idle).await.unwrap();
        assert_eq!(found.is_some(), is_live, "now {now}, idle {idle}");
    }
    store.insert(&Row { last_seen: u64::MAX, expires_at: u64::MAX, ..row(2) }).await.unwrap();
    assert!(store.find(&key(2), NOW, IDLE).await.unwrap().is_some(), "the end of time is far away");
}

async fn remove_hands_out_the_row_once(place: Place) {
    let store = place.open();
    for row in [row(1), row(2), Row { expires_at: 1, ..row(3) }] {
        store.insert(&row).await.unwrap();
    }
    assert_eq!(store.remove(&key(1)).await.unwrap(), Some(row(1)));
    assert_eq!(store.remove(&key(1)).await.unwrap(), None);
    assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), None);
    assert!(store.remove(&key(3)).await.unwrap().is_some(), "a dead row is handed out too");
    assert_eq!(store.find(&key(2), NOW, IDLE).await.unwrap(), Some(row(2)));
}

async fn remove_some_ends_those_selected_and_no_others(place: Place) {
    let store = place.open();
    let all = [
        of(1, "https://a.test", "alice"),
        of(2, "https://a.test", "alice"),
        of(3, "https://a.test", "Alice"),
        of(4, "https://b.test", "alice"),
        of(5, "https://a.test", "alice%"),
    ];
    let alice = person("https://a.test", "alice");
    for (which, ended) in [
        (Selection::Person(&person("https://c.test", "alice")), vec![]),
        (Selection::Person(&alice), vec![id(1), id(2)]),
        (Selection::Others(&alice, id(2)), vec![id(1)]),
        (Selection::Own(&alice, id(2)), vec![id(2)]),
        (Selection::Own(&alice, id(4)), vec![]),
        (Selection::Id(id(4)), vec![id(4)]),
        (Selection::Id(id(9)), vec![]),
        (Selection::Username("user-3"), vec![id(3)]),
        (Selection::Username("user-%"), vec![]),
        (Selection::All, all.iter().map(|row| row.key.id).collect()),
    ] {
        for row in &all {
            store.insert(row).await.unwrap();
        }
        assert_eq!(sorted(store.remove_some(&which).await.unwrap()), ended, "{which:?}");
        assert_eq!(store.remove_some(&which).await.unwrap(), [] as [SessionId; 0], "{which:?}");
        let left = store.sessions(&Selection::All, None, 100).await.unwrap();
        assert_eq!(left.len() + ended.len(), all.len(), "{which:?}");
    }
}

async fn what_a_provider_tells_ends_its_own_older_sessions(place: Place) {
    let store = place.open();
    let told = |issuer: &'static str, sid, subject, begun_until| {
        Selection::Told(Told { issuer, sid, subject, begun_until })
    };
    for (which, ended) in [
        (told(ISSUER, Some("sid-1"), None, NOW), 1),
        (told(ISSUER, Some("sid-1"), None, NOW - 1), 0),
        (told(ISSUER, Some("sid-1"), Some("subject-1"), NOW), 1),
        (told(ISSUER, Some("sid-1"), Some("subject-2"), NOW), 0),
        (told(ISSUER, None, Some("subject-1"), NOW + 60), 1),
        (told(ISSUER, None, Some("subject-1"), NOW - 1), 0),
        (told("https://other.test", Some("sid-1"), Some("subject-1"), NOW), 0),
        (told(ISSUER, None, None, u64::MAX), 0),
        (told(ISSUER, Some("sid-9"), Some("subject-4"), NOW), 1),
        (told(ISSUER, Some("sid-9"), None, NOW), 0),
    ] {
        for number in 0..3 {
            store.insert(&row(number)).await.unwrap();
        }
        store.insert(&Row { sid: None, ..row(4) }).await.unwrap();
        assert_eq!(store.remove_some(&which).await.unwrap().len(), ended, "{which:?}");
    }
}

async fn others_learn_what_ended_or_changed(place: Place) {
    let (here, there) = (filled(&place, 5).await, place.open());
    let start = there.changes(i64::MAX).await.unwrap();
    assert_eq!(start.changed, []);
    here.remove(&key(0)).await.unwrap();
    here.remove_some(&Selection::Id(id(1))).await.unwrap();
    assert!(here.renew(&Row { version: 1, ..row(2) }, None).await.unwrap());
    here.touch(&[(id(3), NOW + 1)]).await.unwrap();
    here.sweep(NOW, IDLE, 10).await.unwrap();
    let seen = there.changes(start.now - 1_000_000).await.unwrap();
    let ids = sorted(seen.changed.iter().filter_map(|(_, id)| *id).collect());
    assert_eq!(ids, [id(0), id(1), id(2)]);
    assert!(seen.changed.iter().all(|(at, _)| *at >= start.now - 1_000 && *at <= seen.now), "{seen:?}");
    let own = sorted(here.changes(0).await.unwrap().changed.iter().filter_map(|(_, id)| *id).collect());
    assert_eq!(own, [id(0), id(1)], "of what one did itself only the ends are news");
    assert_eq!(there.changes(seen.now).await.unwrap().changed, []);
}

async fn changes_are_forgotten_in_time(place: Place) {
    let (here, there) = (filled(&place, 2).await, place.open());
    here.remove(&key(0)).await.unwrap();
    place.run_sql("UPDATE foregate_change SET at = at - 100000000").await;
    here.remove(&key(1)).await.unwrap();
    assert_eq!(there.changes(0).await.unwrap().changed.len(), 2);
    here.trim_changes(std::time::Duration::from_secs(60)).await.unwrap();
    let left: Vec<_> = there.changes(0).await.unwrap().changed.iter().map(|change| change.1).collect();
    assert_eq!(left, [Some(id(1))]);
}

async fn a_lease_is_for_one_and_ends_by_itself(place: Place) {
    let (here, there) = (filled(&place, 2).await, place.open());
    let long = std::time::Duration::from_secs(60);
    assert!(matches!(here.claim(&key(0), 0, long).await.unwrap(), Claim::Ours(found, _) if *found == row(0)));
    assert!(matches!(there.claim(&key(0), 0, long).await.unwrap(), Claim::Taken));
    assert!(matches!(there.claim(&key(1), 0, long).await.unwrap(), Claim::Ours(..)), "each has its own");
    here.postpone(&key(0), 0, NOW + 30).await.unwrap();
    let Claim::Ours(found, _) = there.claim(&key(0), 0, std::time::Duration::ZERO).await.unwrap() else {
        panic!()
    };
    assert_eq!(found.renew_at, Some(NOW + 30));
    assert!(
        matches!(here.claim(&key(0), 0, long).await.unwrap(), Claim::Ours(..)),
        "the other lease is over"
    );
    assert!(here.renew(&Row { version: 1, ..row(0) }, None).await.unwrap());
    assert!(matches!(there.claim(&key(0), 0, long).await.unwrap(), Claim::Done));
    assert!(
        matches!(there.claim(&key(0), 1, long).await.unwrap(), Claim::Ours(..)),
        "a renewal ends the lease"
    );
    here.remove(&key(0)).await.unwrap();
    assert!(matches!(there.claim(&key(0), 1, long).await.unwrap(), Claim::Gone));
}

async fn a_renewal_is_kept_once_and_revives_nothing(place: Place) {
    let store = filled(&place, 2).await;
    let mut renewed = Row { version: 1, renew_at: Some(NOW + 300), tokens: vec![9; 9], ..row(0) };
    renewed.profile.groups = vec!["new".into()];
    renewed.sid = None;
    assert!(store.renew(&renewed, None).await.unwrap());
    assert_eq!(store.find(&key(0), NOW, IDLE).await.unwrap(), Some(renewed.clone()));
    assert!(!store.renew(&renewed, None).await.unwrap(), "it is of an older version");
    let stranger = Row { key: SessionKey { proof: [9; 32], ..key(0) }, version: 2, ..row(0) };
    assert!(!store.renew(&stranger, None).await.unwrap(), "it is of another handle");
    store.remove(&key(1)).await.unwrap();
    assert!(!store.renew(&Row { version: 1, ..row(1) }, None).await.unwrap());
    assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), None);
}

async fn people_are_seen_and_counted(place: Place) {
    let store = place.open();
    for row in [of(1, "https://a.test", "x"), of(2, "https://a.test", "x"), of(3, "https://b.test", "x")] {
        store.insert(&row).await.unwrap();
    }
    let people = store.people(None, &PersonKey::default(), 10).await.unwrap();
    assert_eq!(
        people.iter().map(|who| (who.username.as_str(), who.sessions)).collect::<Vec<_>>(),
        [("user-2", 2), ("user-3", 1)]
    );
    assert_eq!((people[0].first_seen, people[0].last_seen, people[0].disabled_at), (NOW, NOW, None));
    store.touch(&[(id(1), NOW + 50)]).await.unwrap();
    let mut later = of(4, "https://a.test", "x");
    (later.created_at, later.last_seen) = (NOW + 20, NOW + 20);
    later.profile.name = "New Name".into();
    store.insert(&later).await.unwrap();
    let people = store.people(Some("user-4"), &PersonKey::default(), 10).await.unwrap();
    let [who] = &people[..] else { panic!("{people:?}") };
    assert_eq!(
        (who.name.as_str(), who.first_seen, who.last_seen, who.sessions),
        ("New Name", NOW, NOW + 50, 3)
    );
    store.touch(&[(id(1), NOW + 4_000)]).await.unwrap();
    store.remove_some(&Selection::All).await.unwrap();
    let people = store.people(Some("user-4"), &PersonKey::default(), 10).await.unwrap();
    assert_eq!((people[0].last_seen, people[0].sessions), (NOW + 4_000, 0), "it outlives the sessions");
}

async fn the_disabled_have_no_sessions(place: Place) {
    let (store, there) = (filled(&place, 2).await, place.open());
    let one = person(ISSUER, "subject-1");
    assert!(!store.disable(&person(ISSUER, "nobody"), Some(NOW)).await.unwrap());
    let stranger = person("https://elsewhere.test/", &one.subject);
    assert!(!store.is_disabled(&one).await.unwrap());
    assert!(!store.is_disabled(&person(ISSUER, "nobody")).await.unwrap(), "never seen");
    assert!(store.disable(&one, Some(NOW)).await.unwrap());
    assert!(store.disable(&one, Some(NOW + 9)).await.unwrap());
    assert!(store.is_disabled(&one).await.unwrap() && !store.is_disabled(&stranger).await.unwrap());
    assert_eq!(
        store.people(Some("user-1"), &PersonKey::default(), 1).await.unwrap()[0].disabled_at,
        Some(NOW)
    );
    assert_eq!(there.find(&key(1), NOW, IDLE).await.unwrap(), None);
    assert_eq!(there.find(&key(0), NOW, IDLE).await.unwrap(), Some(row(0)));
    assert_eq!(there.alive(&[id(0), id(1)]).await.unwrap(), [id(0)]);
    assert!(matches!(there.claim(&key(1), 5, std::time::Duration::ZERO).await.unwrap(), Claim::Gone));
    assert!(!there.renew(&Row { version: 1, ..row(1) }, None).await.unwrap());
    let again = Row { key: key(7), ..row(1) };
    assert_eq!(store.insert(&again).await.unwrap(), Admission::Disabled);
    assert_eq!(place.number("SELECT count(*) FROM foregate_session").await, 2);
    assert!(store.disable(&one, None).await.unwrap());
    assert!(!store.is_disabled(&one).await.unwrap());
    assert_eq!(store.insert(&again).await.unwrap(), Admission::Kept);
    assert_eq!(there.find(&key(7), NOW, IDLE).await.unwrap(), Some(again));
}

async fn disabling_and_signing_in_at_once_leave_no_session(place: Place) {
    let stores = std::sync::Arc::new([place.open(), place.open()]);
    let who = person(ISSUER, "subject-1");
    stores[0].insert(&row(1)).await.unwrap();
    for round in 0..20_u32 {
        let (coming, shutting) = (stores.clone(), stores.clone());
        let sign_in =
            tokio::spawn(
                async move { coming[0].insert(&Row { key: key(100 + round), ..row(1) }).await.unwrap() },
            );
        let one = who.clone();
        let disable = tokio::spawn(async move {
            shutting[1].disable(&one, Some(NOW)).await.unwrap();
            shutting[1].remove_some(&Selection::Person(&one)).await.unwrap();
        });
        sign_in.await.unwrap();
        disable.await.unwrap();
        assert_eq!(place.number("SELECT count(*) FROM foregate_session").await, 0, "round {round}");
        stores[0].disable(&who, None).await.unwrap();
    }
}

async fn lists_come_in_pages(place: Place) {
    let store = filled(&place, 5).await;
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.sessions(&Selection::All, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.id);
        seen.extend(page);
    }
    assert_eq!(seen.iter().map(|one| one.id).collect::<Vec<_>>(), (0..5).map(id).collect::<Vec<_>>());
    let one = &seen[3];
    assert_eq!((one.username.as_str(), one.person.subject.as_str()), ("user-3", "subject-3"));
    assert_eq!((one.created_at, one.last_seen, one.expires_at), (NOW, NOW, NOW + 3_600));
    assert_eq!((one.client.as_str(), one.user_agent.as_str()), ("192.0.2.1", "Browser/1.0"));
    let named = store.sessions(&Selection::Username("user-2"), None, 10).await.unwrap();
    assert_eq!(named.iter().map(|one| one.id).collect::<Vec<_>>(), [id(2)]);
    let first = store.people(None, &PersonKey::default(), 3).await.unwrap();
    let rest = store.people(None, &first[2].key, 3).await.unwrap();
    assert_eq!((first.len(), rest.len()), (3, 2));
}

async fn a_persons_own_list_has_those_used_last_first(place: Place) {
    let store = place.open();
    let alice = person("https://a.test", "alice");
    for (number, last_seen, expires_at) in
        [(1, 10, 900), (2, 30, 900), (3, 20, 900), (4, 5, 900), (5, 40, 100), (6, 30, 900)]
    {
        let row = of(number, "https://a.test", "alice");
        let (last_seen, expires_at) = (NOW + last_seen, NOW + expires_at);
        store.insert(&Row { last_seen, expires_at, ..row }).await.unwrap();
    }
    store.insert(&of(7, "https://a.test", "Alice")).await.unwrap();
    store.insert(&of(8, "https://b.test", "alice")).await.unwrap();
    let (now, idle) = (NOW + 100, 95);
    for (limit, seen) in [(9, vec![2, 6, 3, 1]), (3, vec![2, 6, 3]), (1, vec![2]), (0, vec![])] {
        let found = store.recent(&alice, (now, idle), limit).await.unwrap();
        let ids: Vec<SessionId> = found.iter().map(|one| one.id).collect();
        assert_eq!(ids, seen.into_iter().map(id).collect::<Vec<_>>(), "{limit}");
    }
    // Whose those of everybody are that have not ended, in the order of their names.
    for (limit, seen) in [(9, vec![1, 2, 3, 6]), (2, vec![1, 2])] {
        let profiles = seen.into_iter().map(|number| of(number, "https://a.test", "alice").profile);
        assert_eq!(
            store.profiles((now, idle), limit).await.unwrap(),
            profiles.collect::<Vec<_>>(),
            "{limit}"
        );
    }
}

async fn app_tokens_are_found_with_what_was_last_said_of_their_owner(place: Place) {
    let (store, other) = (place.open(), place.open());
    let rich = TokenRow {
        app: "Äpp".into(),
        name: "zoë's \"phone\"".into(),
        networks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        expires_at: Some(NOW + 9),
        ..token(1)
    };
    assert_eq!(store.keep_token(&rich, 9).await.unwrap(), TokenKept::Nobody, "nobody was ever seen");
    store.insert(&row(1)).await.unwrap();
    for new in [&rich, &token(2)] {
        assert_eq!(store.keep_token(new, 9).await.unwrap(), TokenKept::Kept);
    }
    let found = other.find_token(&rich.key).await.unwrap().unwrap();
    assert_eq!((&found.row, &found.profile, found.disabled), (&rich, &Some(row(1).profile), false));
    assert!(found.vouched_at > 1_700_000_000, "by the store's own clock");
    assert_eq!(store.find_token(&SessionKey { proof: [0; 32], ..rich.key }).await.unwrap(), None);
    let mut renewed = Row { version: 1, ..row(1) };
    renewed.profile.groups = vec!["new".into()];
    assert!(store.renew(&renewed, Some(found.vouched_at)).await.unwrap());
    let found = other.find_token(&token(2).key).await.unwrap().unwrap();
    assert_eq!((found.row, found.profile), (token(2), Some(renewed.profile)));

    for (used, last) in
        [(vec![(id(1), 20), (id(1), 30), (id(9), 5)], 30), (vec![(id(1), 10)], 30), (vec![], 30)]
    {
        store.touch_tokens(&used).await.unwrap();
        assert_eq!(store.tokens(&Selection::Id(id(1)), None, 9).await.unwrap()[0].row.last_used, last);
    }
    let page = store.tokens(&Selection::All, Some(id(1)), 9).await.unwrap();
    assert_eq!((page.len(), page[0].row.key, page[0].username.as_str()), (1, key(2), "user-1"));
    for (time, left) in [(NOW + 9, 2), (NOW + 10, 1), (u64::MAX, 1)] {
        store.trim_tokens(time).await.unwrap();
        assert_eq!(store.tokens(&Selection::All, None, 9).await.unwrap().len(), left, "{time}");
    }
    place.run_sql("UPDATE foregate_token SET networks = '10.0.0.0/8 anywhere'").await;
    assert!(matches!(store.find_token(&key(2)).await, Err(StoreError::Damaged(_))));
}

/// Renewals of several sessions of one person, of which some bring old news, or come too late.
async fn what_is_known_of_a_person_never_goes_back(place: Place) {
    let store = place.open();
    let second = Row { key: key(2), ..row(1) };
    for row in [&row(1), &second] {
        store.insert(row).await.unwrap();
    }
    store.keep_token(&token(3), 9).await.unwrap();
    let known = async || {
        let found = store.find_token(&token(3).key).await.unwrap().unwrap();
        (found.profile.unwrap().groups, found.vouched_at)
    };
    let with = |row: &Row, version: u64, group: &str| {
        let mut row = Row { version, ..row.clone() };
        row.profile.groups = vec![group.to_owned()];
        row
    };
    let told = |group: &str, at: u64| (vec![group.to_owned()], at);
    // As if the sign-ins lay back.
    place.run_sql("UPDATE foregate_person SET vouched_at = 1700000000, last_seen = 5").await;
    let at = 1_700_000_000;
    assert!(store.renew(&with(&row(1), 1, "new"), Some(at + 50)).await.unwrap());
    assert_eq!(known().await, told("new", at + 50));
    let seen = place.number("SELECT last_seen FROM foregate_person").await;
    place.run_sql("UPDATE foregate_person SET last_seen = 5").await;
    for (version, news) in [(1, None), (2, Some(at + 49)), (3, Some(1))] {
        let old = with(&second, version, "old");
        assert!(store.renew(&old, news).await.unwrap(), "the session goes on: {news:?}");
        assert_eq!(store.find(&key(2), NOW, IDLE).await.unwrap(), Some(old));
        assert_eq!(known().await, told("new", at + 50), "{news:?}");
    }
    // What meets no session, or one that was renewed meanwhile, is no news either.
    let stranger = Row { key: SessionKey { proof: [9; 32], ..key(2) }, ..row(1) };
    let ended = Row { key: key(7), ..row(1) };
    for row in [with(&second, 3, "late"), with(&stranger, 4, "late"), with(&ended, 1, "late")] {
        assert!(!store.renew(&row, Some(at + 90)).await.unwrap());
        assert_eq!(known().await, told("new", at + 50));
    }
    assert_eq!(place.number("SELECT last_seen FROM foregate_person").await, 5);
    assert_eq!(seen, i64::try_from(NOW).unwrap());
    assert!(store.renew(&with(&second, 4, "newer"), Some(at + 51)).await.unwrap());
    assert_eq!(known().await, told("newer", at + 51));
    // A clock that was set back keeps nothing for ever, and a sign-in always counts.
    place.run_sql("UPDATE foregate_person SET vouched_at = 99999999999").await;
    assert!(store.renew(&with(&second, 5, "newest"), Some(at + 52)).await.unwrap());
    assert_eq!(known().await, told("newest", at + 52));
    place.run_sql("UPDATE foregate_person SET vouched_at = 99999999999").await;
    store.insert(&with(&ended, 0, "signed in")).await.unwrap();
    let (groups, vouched_at) = known().await;
    assert!(groups == ["signed in"] && vouched_at < 9_999_999_999, "{groups:?} {vouched_at}");
    // Whoever is disabled has no session to renew, and nothing is learned of them.
    store.disable(&person(ISSUER, "subject-1"), Some(NOW)).await.unwrap();
    assert!(!store.renew(&with(&second, 6, "late"), Some(vouched_at)).await.unwrap());
    assert_eq!(known().await.0, ["signed in"]);
    let Claim::Ours(_, at) =
        filled(&place, 5).await.claim(&key(4), 0, std::time::Duration::ZERO).await.unwrap()
    else {
        panic!()
    };
    assert!(at.abs_diff(vouched_at) < 60, "by the same clock: {at} {vouched_at}");
}

/// To disable somebody and to end their sessions are two changes, of which the second may not come to pass.
async fn whoever_is_enabled_gets_no_session_back(place: Place) {
    let (store, there) = (filled(&place, 2).await, place.open());
    let one = person(ISSUER, "subject-1");
    assert!(store.disable(&one, None).await.unwrap(), "nothing is ended of whoever was not disabled");
    assert_eq!(there.find(&key(1), NOW, IDLE).await.unwrap(), Some(row(1)));
    store.disable(&one, Some(NOW)).await.unwrap();
    let since = there.changes(i64::MAX).await.unwrap().now - 1;
    assert!(store.disable(&one, None).await.unwrap());
    assert_eq!(there.find(&key(1), NOW, IDLE).await.unwrap(), None);
    assert_eq!(there.find(&key(0), NOW, IDLE).await.unwrap(), Some(row(0)), "somebody else's");
    let told = there.changes(since).await.unwrap().changed;
    assert!(told.iter().any(|(_, session)| *session == Some(id(1))), "{told:?}");
    assert!(!store.disable(&person(ISSUER, "nobody"), None).await.unwrap());
}

async fn nobody_has_more_app_tokens_than_there_may_be(place: Place) {
    let store = std::sync::Arc::new(place.open());
    store.insert(&row(1)).await.unwrap();
    let mut asked = JoinSet::new();
    for number in 1..=20 {
        let store = std::sync::Arc::clone(&store);
        asked.spawn(async move { store.keep_token(&token(number), 5).await.unwrap() });
    }
    let kept = asked.join_all().await.into_iter().filter(|kept| *kept == TokenKept::Kept).count();
    let there = store.tokens(&Selection::All, None, 99).await.unwrap();
    assert_eq!((kept, there.len()), (5, 5), "however many ask at once");
    assert_eq!(store.keep_token(&token(21), 5).await.unwrap(), TokenKept::Full);

    let (room, owner) = (Room { all: 9, one: 9 }, token(1).person);
    for (number, most, collected) in [(1, 5, false), (2, 6, true), (3, 6, false)] {
        assert!(store.keep_pairing(&pairing(number), room).await.unwrap());
        assert!(store.approve_pairing(&[number; 32], &owner, NOW).await.unwrap());
        let (key, new) = (pairing(number).key, token(30 + u32::from(number)));
        assert_eq!(store.collect_pairing(&key, &new, most).await.unwrap(), collected, "{number}");
        assert_eq!(store.poll_pairing(&key).await.unwrap(), None, "{number}: it is over");
    }
    assert_eq!(store.tokens(&Selection::All, None, 99).await.unwrap().len(), 6);
}

async fn revoking_app_tokens_and_disabling_their_owner_is_told(place: Place) {
    let (store, other) = (place.open(), place.open());
    store.insert(&row(1)).await.unwrap();
    let who = token(1).person;
    for number in 1..=4 {
        assert_eq!(store.keep_token(&token(number), 9).await.unwrap(), TokenKept::Kept);
    }
    let stranger = person("https://b.test", "subject-1");
    assert!(store.revoke_tokens(&Selection::Person(&stranger)).await.unwrap().is_empty());
    assert!(store.revoke_tokens(&Selection::Own(&stranger, id(1))).await.unwrap().is_empty());
    assert_eq!(store.revoke_tokens(&Selection::Own(&who, id(1))).await.unwrap(), [id(1)]);
    assert_eq!(store.find_token(&key(1)).await.unwrap(), None);
    let told = async || -> Vec<SessionId> {
        let mut told: Vec<_> =
            other.changes(0).await.unwrap().changed.into_iter().filter_map(|(_, id)| id).collect();
        told.sort_unstable();
        told.dedup();
        told
    };
    assert_eq!(told().await, [id(1)]);
    assert!(store.disable(&who, Some(NOW)).await.unwrap());
    assert_eq!(told().await, [1, 2, 3, 4].map(id));
    assert!(other.find_token(&key(2)).await.unwrap().unwrap().disabled);
    assert_eq!(store.keep_token(&token(5), 9).await.unwrap(), TokenKept::Nobody, "the owner is disabled");
    let mut gone = store.revoke_tokens(&Selection::Username("user-1")).await.unwrap();
    gone.sort_unstable();
    assert_eq!(gone, [2, 3, 4].map(id));
}

/// An app token of the person in row 1.
fn token(number: u32) -> TokenRow {
    let profile = row(1).profile;
    TokenRow {
        key: key(number),
        person: person(&profile.issuer, &profile.subject),
        app: "app.test".into(),
        name: String::new(),
        networks: Vec::new(),
        created_at: NOW,
        expires_at: None,
        last_used: 0,
    }
}

async fn a_pairing_is_decided_once_and_collected_once(place: Place) {
    let (store, other) = (place.open(), place.open());
    let (rich, room) = (PairingRow { name: "zoë's \"TV\"".into(), ..pairing(1) }, Room { all: 9, one: 9 });
    assert!(store.keep_pairing(&rich, room).await.unwrap());
    let waiting = other.waiting_pairing(&[1; 32], NOW).await.unwrap().unwrap();
    assert_eq!(
        (waiting.app, waiting.name, waiting.client, waiting.created_at),
        (rich.app.clone(), rich.name.clone(), rich.client.clone(), NOW)
    );
    let owner = token(1).person;
    assert!(!store.approve_pairing(&[1; 32], &owner, NOW).await.unwrap(), "nobody was ever seen");
    store.insert(&row(1)).await.unwrap();
    assert_eq!(other.waiting_pairing(&[1; 32], rich.expires_at).await.unwrap(), None);
    assert!(!store.approve_pairing(&[1; 32], &owner, rich.expires_at).await.unwrap(), "too late");
    assert!(!store.collect_pairing(&rich.key, &token(1), 9).await.unwrap(), "nobody approved");
    let first = store.poll_pairing(&rich.key).await.unwrap().unwrap();
    let again = other.poll_pairing(&rich.key).await.unwrap().unwrap();
    assert!(first.person.is_none() && !first.refused && first.pause > again.pause, "{first:?} {again:?}");
    assert_eq!(store.poll_pairing(&SessionKey { proof: [0; 32], ..rich.key }).await.unwrap(), None);

    assert!(other.approve_pairing(&[1; 32], &owner, NOW).await.unwrap());
    assert!(!store.refuse_pairing(&[1; 32], NOW).await.unwrap(), "it is decided");
    assert!(!store.approve_pairing(&[1; 32], &person("https://b.test", "x"), NOW).await.unwrap());
    assert_eq!(store.waiting_pairing(&[1; 32], NOW).await.unwrap(), None);
    assert_eq!(store.poll_pairing(&rich.key).await.unwrap().unwrap().person, Some(owner.clone()));
    let stranger = TokenRow { person: person("https://b.test", "x"), ..token(1) };
    assert!(!store.collect_pairing(&rich.key, &stranger, 9).await.unwrap());
    let late = TokenRow { created_at: rich.expires_at, ..token(1) };
    assert!(!store.collect_pairing(&rich.key, &late, 9).await.unwrap());
    let tokens = [token(1), token(2)];
    let (one, two) = tokio::join!(
        store.collect_pairing(&rich.key, &tokens[0], 9),
        other.collect_pairing(&rich.key, &tokens[1], 9)
    );
    assert!(one.unwrap() != two.unwrap(), "one of them");
    assert_eq!(store.tokens(&Selection::All, None, 9).await.unwrap().len(), 1);
    assert_eq!(store.poll_pairing(&rich.key).await.unwrap(), None);

    // An owner who is disabled by now gets none, and the pairing is over.
    assert!(store.keep_pairing(&pairing(2), room).await.unwrap());
    assert!(store.approve_pairing(&[2; 32], &owner, NOW).await.unwrap());
    assert!(store.disable(&owner, Some(NOW)).await.unwrap());
    assert!(!store.collect_pairing(&pairing(2).key, &token(3), 9).await.unwrap());
    assert_eq!(store.poll_pairing(&pairing(2).key).await.unwrap(), None);
    assert!(store.keep_pairing(&pairing(3), room).await.unwrap());
    assert!(!store.approve_pairing(&[3; 32], &owner, NOW).await.unwrap());
    assert!(store.refuse_pairing(&[3; 32], NOW).await.unwrap());
    assert!(store.poll_pairing(&pairing(3).key).await.unwrap().unwrap().refused);
    assert_eq!(store.tokens(&Selection::All, None, 9).await.unwrap().len(), 1);
}

async fn pairings_are_bounded_and_forgotten(place: Place) {
    let store = place.open();
    let (room, elsewhere) =
        (Room { all: 3, one: 2 }, |number| PairingRow { origin: "elsewhere".into(), ..pairing(number) });
    assert!(store.keep_pairing(&pairing(1), room).await.unwrap());
    assert!(store.keep_pairing(&pairing(2), room).await.unwrap());
    assert!(!store.keep_pairing(&pairing(3), room).await.unwrap(), "two of this origin");
    assert!(store.keep_pairing(&elsewhere(3), room).await.unwrap());
    assert!(!store.keep_pairing(&elsewhere(4), room).await.unwrap(), "three in all");
    let later = |number| PairingRow { created_at: NOW + 600, expires_at: NOW + 1200, ..pairing(number) };
    let twin = PairingRow { user_code: [1; 32], ..later(5) };
    assert!(!store.keep_pairing(&twin, room).await.unwrap(), "a code names one");
    assert!(store.keep_pairing(&later(5), room).await.unwrap(), "the others have ended");
    for (time, left) in [(NOW + 600, 4), (NOW + 601, 1), (NOW + 1201, 0)] {
        store.trim_pairings(time).await.unwrap();
        assert_eq!(place.number("SELECT count(*) FROM foregate_pairing").await, left, "{time}");
    }
}

/// A pairing that waits for ten minutes.
fn pairing(number: u8) -> PairingRow {
    PairingRow {
        key: key(u32::from(number)),
        user_code: [number; 32],
        app: "app.test".into(),
        name: "TV".into(),
        client: "192.0.2.7".into(),
        origin: "192.0.2.7".into(),
        created_at: NOW,
        expires_at: NOW + 600,
    }
}

async fn a_fact_is_kept_by_the_first(place: Place) {
    let (here, there) = (place.open(), place.open());
    assert_eq!(here.fact("keys", "a").await.unwrap(), "a");
    assert_eq!(there.fact("keys", "b").await.unwrap(), "a");
    there.set_fact("keys", Some("c")).await.unwrap();
    assert_eq!(here.fact("keys", "a").await.unwrap(), "c");
    here.set_fact("keys", None).await.unwrap();
    assert_eq!(there.fact("keys", "d").await.unwrap(), "d");
}

async fn a_ticket_is_spent_once_whoever_asks(place: Place) {
    let (here, there) = (place.open(), place.open());
    assert!(here.spend(&id(1), NOW + 30).await.unwrap());
    assert!(!there.spend(&id(1), NOW + 30).await.unwrap() && !here.spend(&id(1), NOW + 90).await.unwrap());
    let mut tasks = JoinSet::new();
    for store in [place.open(), place.open(), place.open(), place.open()] {
        tasks.spawn(async move { store.spend(&id(2), NOW + 60).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|spent| *spent).count(), 1, "one of four at once");
    here.trim_spent(NOW + 31).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM foregate_spent").await, 1);
    assert!(!there.spend(&id(2), NOW + 60).await.unwrap(), "still remembered");
}

async fn alive_tells_thousands_at_once(place: Place) {
    let store = filled(&place, 300).await;
    let mut asked: Vec<SessionId> = (0..5_000).map(id).collect();
    asked.push(id(7));
    assert_eq!(sorted(store.alive(&asked).await.unwrap()), (0..300).map(id).collect::<Vec<_>>());
    assert_eq!(store.alive(&[]).await.unwrap(), [] as [SessionId; 0]);
    assert_eq!(store.alive(&[id(9_999)]).await.unwrap(), [] as [SessionId; 0]);
}

async fn touch_tells_thousands_at_once(place: Place) {
    let store = filled(&place, 300).await;
    let seen: Vec<_> = (0..5_000).map(|number| (id(number), NOW + 1 + u64::from(number))).collect();
    store.touch(&seen).await.unwrap();
    for number in [0, 1, 150, 299] {
        let found = store.find(&key(number), NOW, IDLE).await.unwrap().unwrap();
        assert_eq!(found, Row { last_seen: NOW + 1 + u64::from(number), ..row(number) });
    }
    assert_eq!(place.number("SELECT count(*) FROM foregate_session").await, 300);
    store.touch(&[]).await.unwrap();
}

async fn touch_makes_no_rows_and_never_goes_back(place: Place) {
    let store = filled(&place, 2).await;
    store.remove(&key(0)).await.unwrap();
    store.touch(&[(id(0), NOW + 5), (id(1), NOW + 9), (id(1), NOW + 30), (id(1), NOW + 8)]).await.unwrap();
    assert_eq!(store.find(&key(0), NOW, IDLE).await.unwrap(), None);
    store.touch(&[(id(1), NOW + 10), (id(1), 0)]).await.unwrap();
    let found = store.find(&key(1), NOW, IDLE).await.unwrap().unwrap();
    assert_eq!(found.last_seen, NOW + 30);
    assert_eq!(place.number("SELECT count(*) FROM foregate_session").await, 1);
}

async fn sweep_is_bounded_and_leaves_the_living(place: Place) {
    let store = filled(&place, 20).await;
    for number in 100..110 {
        store.insert(&Row { expires_at: NOW, ..row(number) }).await.unwrap();
        store.insert(&Row { last_seen: NOW - IDLE, ..row(number + 100) }).await.unwrap();
    }
    assert_eq!(store.sweep(NOW, IDLE, 0).await.unwrap(), 0);
    assert_eq!(store.sweep(NOW, IDLE, 15).await.unwrap(), 15);
    assert_eq!(store.sweep(NOW, IDLE, 15).await.unwrap(), 5);
    assert_eq!(store.sweep(NOW, IDLE, 15).await.unwrap(), 0);
    let all: Vec<_> = (0..300).map(id).collect();
    assert_eq!(sorted(store.alive(&all).await.unwrap()), (0..20).map(id).collect::<Vec<_>>());
}

async fn sweeps_and_touches_at_once_all_succeed(place: Place) {
    let store = filled(&place, 50).await;
    for number in 100..150 {
        store.insert(&Row { expires_at: NOW, ..row(number) }).await.unwrap();
    }
    let stores = std::sync::Arc::new([store, place.open(), place.open()]);
    let mut tasks = JoinSet::new();
    for round in 0..12_u32 {
        let stores = stores.clone();
        tasks.spawn(async move {
            let store = &stores[round as usize % 3];
            let mut seen: Vec<_> = (0..150).map(|number| (id(number), NOW + u64::from(round))).collect();
            if round % 2 == 0 {
                seen.reverse();
            }
            store.touch(&seen).await.unwrap();
            store.sweep(NOW, IDLE, 10).await.unwrap()
        });
    }
    // Those that swept at the same moment left it to one.
    let mut swept = tasks.join_all().await.into_iter().sum::<u64>();
    while swept < 50 {
        swept += stores[1].sweep(NOW, IDLE, 10).await.unwrap();
    }
    assert_eq!(swept, 50);
    for number in 0..50 {
        assert_eq!(stores[0].find(&key(number), NOW, IDLE).await.unwrap().unwrap().last_seen, NOW + 11);
    }
}

async fn ten_opens_at_once_migrate_once(place: Place) {
    let mut tasks = JoinSet::new();
    for store in [(); 10].map(|()| place.open()) {
        tasks.spawn(async move {
            let mut uses = JoinSet::new();
            let store = std::sync::Arc::new(store);
            for number in 0..3 {
                let store = store.clone();
                uses.spawn(async move { store.insert(&row(number)).await });
            }
            uses.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()
        });
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(place.number("SELECT count(*) FROM foregate_migration").await, 5);
    assert_eq!(place.number("SELECT count(*) FROM foregate_session").await, 3);
}

async fn a_newer_schema_is_left_alone(place: Place) {
    place.open().probe().await.unwrap();
    place.run_sql("INSERT INTO foregate_migration (version) VALUES (999)").await;
    let store = place.open();
    for _ in 0..2 {
        let error = store.insert(&row(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::TooNew { found: 999, known: 5 }), "{error}");
    }
    assert_eq!(place.number("SELECT count(*) FROM foregate_session").await, 0);
    place.run_sql("DELETE FROM foregate_migration WHERE version = 999").await;
    store.insert(&row(1)).await.unwrap();
}

async fn a_damaged_row_is_told_of_and_can_be_removed(place: Place) {
    let store = filled(&place, 2).await;
    for damage in [
        "profile = '[]'",
        "profile = '{}'",
        r#"profile = '{"issuer": 5, "subject": "s", "username": "secret-name"}'"#,
        "created_at = -1",
        "expires_at = 9223372036854775807, last_seen = 9223372036854775807, created_at = -9223372036854775808",
    ] {
        place.run_sql(&format!("UPDATE foregate_session SET {damage}")).await;
        let error = store.find(&key(1), NOW, IDLE).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{damage}: {error}");
        assert!(!error.to_string().contains("secret-name"), "{error}");
    }
    assert!(matches!(store.remove(&key(0)).await, Err(StoreError::Damaged(_))));
    assert_eq!(store.remove_some(&Selection::Person(&person(ISSUER, "subject-1"))).await.unwrap(), [id(1)]);
    assert_eq!(
        store.alive(&[id(0), id(1)]).await.unwrap(),
        [] as [SessionId; 0],
        "both are gone all the same"
    );
}

async fn a_nul_is_kept_whole_or_refused(place: Place) {
    let store = place.open();
    let mut nul = row(1);
    nul.profile.name = "a\0b".into();
    match store.insert(&nul).await {
        Ok(_) => assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), Some(nul)),
        Err(error) => assert!(matches!(error, StoreError::Damaged(_)), "{error}"),
    }
    store.insert(&row(2)).await.unwrap();
}

async fn a_name_too_long_for_an_index_is_kept_whole_or_refused(place: Place) {
    let store = place.open();
    let mut long = row(1);
    // Digits that nothing makes short.
    let digits = |at: u64| format!("{:x}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    long.profile.username = (1..1000).map(digits).collect();
    match store.insert(&long).await {
        Ok(_) => assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), Some(long)),
        Err(error) => assert!(matches!(error, StoreError::Damaged(_)), "{error}"),
    }
    store.insert(&row(2)).await.unwrap();
}

async fn a_dropped_future_leaves_no_half(place: Place) {
    for patience in 0..40 {
        let store = place.open();
        let first = row(patience);
        let begun = store.insert(&first);
        let _ =
            tokio::time::timeout(std::time::Duration::from_micros(u64::from(patience) * 250), begun).await;
        store.insert(&row(1_000 + patience)).await.unwrap();
        assert_eq!(store.find(&key(1_000 + patience), NOW, IDLE).await.unwrap(), Some(row(1_000 + patience)));
        let found = store.find(&key(patience), NOW, IDLE).await.unwrap();
        assert!(found.is_none_or(|found| found == row(patience)));
    }
    assert_eq!(place.number("SELECT count(*) FROM foregate_migration").await, 5);
}

#[cfg(feature = "sqlite")]
mod sqlite_alone {
    use super::*;

    #[tokio::test]
    async fn memory_holds_sessions_while_it_lasts() {
        let store = SessionStore::open(&Location::Memory).unwrap();
        store.probe().await.unwrap();
        store.insert(&row(1)).await.unwrap();
        assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), Some(row(1)));
        store.touch(&[(id(1), NOW + 1)]).await.unwrap();
        assert_eq!(store.sweep(NOW + 1_000_000, IDLE, 10).await.unwrap(), 1);
        let other = SessionStore::open(&Location::Memory).unwrap();
        assert_eq!(other.find(&key(1), NOW, IDLE).await.unwrap(), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let home = tempfile::tempdir().unwrap();
        let store = SessionStore::open(&Location::Sqlite(home.path().join("sessions.db"))).unwrap();
        store.insert(&row(1)).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(Result::unwrap).collect();
        assert!(files.len() >= 2, "the database and its log");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
        drop(store);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_an_error_at_once() {
        let home = tempfile::tempdir().unwrap();
        for path in [home.path().join("no/such/folder.db"), home.path().to_owned()] {
            let error = SessionStore::open(&Location::Sqlite(path)).unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_unavailable() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("sessions.db");
        std::fs::write(&path, [b'x'; 5_000]).unwrap();
        let outcome = SessionStore::open(&Location::Sqlite(path.clone()));
        let error = match outcome {
            Ok(store) => store.probe().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), [b'x'; 5_000], "it is left as it was");
    }

    #[tokio::test]
    async fn a_locked_file_is_unavailable_until_it_is_free() {
        let place = Place::file().await;
        let store = filled(&place, 1).await;
        let other = place.sqlite();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = in_time(store.insert(&row(5))).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert_eq!(in_time(store.find(&key(0), NOW, IDLE)).await.unwrap(), Some(row(0)), "reading goes on");
        other.execute_batch("ROLLBACK").unwrap();
        in_time(store.insert(&row(5))).await.unwrap();
    }
}

#[cfg(feature = "postgres")]
mod postgres_alone {
    use super::*;
    use crate::support::postgres::{Postgres, number, run_sql, shared};
    use foregate::secret::Secret;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::net::TcpListener;

    fn open(url: &str) -> SessionStore {
        SessionStore::open(&Location::Postgres(Secret::new(url))).unwrap()
    }

    fn is_unavailable<T>(outcome: Result<T, StoreError>) -> String {
        match outcome {
            Err(StoreError::Unavailable(why)) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it is available"),
        }
    }

    #[tokio::test]
    async fn a_lock_that_is_held_uses_up_no_connections() {
        let url = shared().fresh().await;
        let store = Arc::new(SessionStore::open(&Location::Postgres(Secret::new(&url))).unwrap());
        store.probe().await.unwrap();
        let (mut holder, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let held = holder.transaction().await.unwrap();
        held.batch_execute("LOCK TABLE foregate_session").await.unwrap();
        for _ in 0..3 {
            let mut asked = JoinSet::new();
            for _ in 0..12 {
                let store = Arc::clone(&store);
                asked.spawn(async move { store.probe().await.is_err() });
            }
            assert!(asked.join_all().await.into_iter().all(|failed| failed));
        }
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND wait_event_type = 'Lock'";
        let end = Instant::now() + Duration::from_secs(20);
        while number(&url, waiting).await > 0 {
            assert!(Instant::now() < end, "they wait on for nobody");
        }
        held.rollback().await.unwrap();
        while store.probe().await.is_err() {
            assert!(Instant::now() < end, "never well again");
        }
        drop(holder);
        connection.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_killed_server_is_unavailable_until_it_is_back() {
        let mut server = Postgres::start();
        let store = open(&server.url());
        store.insert(&row(1)).await.unwrap();
        server.kill_hard();
        for _ in 0..3 {
            is_unavailable(in_time(store.find(&key(1), NOW, IDLE)).await);
            is_unavailable(in_time(store.insert(&row(2))).await);
        }
        server.restart();
        in_time(store.insert(&row(3))).await.unwrap();
        assert_eq!(in_time(store.find(&key(3), NOW, IDLE)).await.unwrap(), Some(row(3)));
    }

    #[tokio::test]
    async fn a_server_may_start_after_us() {
        let mut server = Postgres::start();
        server.kill_hard();
        let store = open(&server.url());
        is_unavailable(in_time(store.probe()).await);
        server.restart();
        in_time(store.probe()).await.unwrap();
        in_time(store.insert(&row(1))).await.unwrap();
    }

    #[tokio::test]
    async fn a_frozen_server_is_unavailable_until_it_thaws() {
        let server = Postgres::start();
        let store = Arc::new(open(&server.url()));
        store.insert(&row(1)).await.unwrap();
        server.signal("STOP");
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let store = store.clone();
            tasks.spawn(async move { in_time(store.find(&key(1), NOW, IDLE)).await });
        }
        for outcome in tasks.join_all().await {
            is_unavailable(outcome);
        }
        server.signal("CONT");
        assert_eq!(in_time(store.find(&key(1), NOW, IDLE)).await.unwrap(), Some(row(1)));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_unavailable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgresql://u:hunter2@{}/f", listener.local_addr().unwrap());
        let silent = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                kept.push(listener.accept().await.unwrap());
            }
        });
        let store = open(&url);
        let key = key(1);
        let (find, probe) = tokio::join!(in_time(store.find(&key, NOW, IDLE)), in_time(store.probe()));
        assert!(!is_unavailable(find).contains("hunter2"));
        assert!(!is_unavailable(probe).contains("hunter2"));
        silent.abort();
    }

    #[tokio::test]
    async fn no_error_names_the_password() {
        let port = shared().url();
        let port = port.rsplit(':').next().unwrap().split('/').next().unwrap();
        for url in [
            "postgresql://u:hunter2@127.0.0.1:1/f".to_owned(),
            "postgresql://u:hunter2@no-such-host.invalid/f".to_owned(),
            format!("postgresql://u:hunter2@127.0.0.1:{port}/no_such_database"),
            format!("postgresql://postgres:hunter2@127.0.0.1:{port}/postgres?sslmode=require"),
        ] {
            let why = is_unavailable(in_time(open(&url).probe()).await);
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[tokio::test]
    async fn a_bad_url_is_an_error_at_once() {
        for url in
            ["", "mysql://u:hunter2@h/f", "postgresql://", "postgresql://u:hunter2@h/f?sslmode=hunter2"]
        {
            let why = is_unavailable(SessionStore::open(&Location::Postgres(Secret::new(url))));
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[tokio::test]
    async fn connections_that_died_in_the_pool_are_replaced() {
        let url = shared().fresh().await;
        let store = Arc::new(open(&url));
        store.insert(&row(1)).await.unwrap();
        for _ in 0..20 {
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                let store = store.clone();
                tasks.spawn(async move { store.find(&key(1), NOW, IDLE).await.unwrap() });
            }
            assert_eq!(tasks.join_all().await.len(), 8);
            run_sql(&url, TERMINATE).await;
            assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), Some(row(1)));
        }
    }

    #[tokio::test]
    async fn a_connection_left_with_a_standby_is_replaced() {
        let url = shared().fresh().await;
        let database = url.rsplit('/').next().unwrap();
        let store = open(&url);
        store.probe().await.unwrap();
        shared().run_sql(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on")).await;
        run_sql(&url, TERMINATE).await;
        assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), None);
        is_unavailable(store.insert(&row(1)).await);
        assert_eq!(store.find(&key(1), NOW, IDLE).await.unwrap(), None);
        shared().run_sql(&format!("ALTER DATABASE {database} RESET default_transaction_read_only")).await;
        store.insert(&row(1)).await.unwrap();
    }

    /// Ends every connection to the database but the one that says so.
    const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
}

/// What must be answered, well or badly, long before this.
async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(10), answer).await.expect("the store answers in time")
}

/// A store with the rows from 0 up to `count`.
async fn filled(place: &Place, count: u32) -> SessionStore {
    let store = place.open();
    for number in 0..count {
        store.insert(&row(number)).await.unwrap();
    }
    store
}

fn row(number: u32) -> Row {
    let profile = Profile {
        issuer: ISSUER.into(),
        subject: format!("subject-{number}"),
        username: format!("user-{number}"),
        ..Profile::default()
    };
    Row {
        key: key(number),
        profile,
        sid: Some(format!("sid-{number}")),
        renew_at: None,
        version: 0,
        created_at: NOW,
        last_seen: NOW,
        expires_at: NOW + 3_600,
        tokens: vec![1, 2, 3],
        client: "192.0.2.1".into(),
        user_agent: "Browser/1.0".into(),
    }
}

/// The row of a number as another person's.
fn of(number: u32, issuer: &str, subject: &str) -> Row {
    let person = Profile { issuer: issuer.into(), subject: subject.into(), ..row(number).profile };
    Row { profile: person, ..row(number) }
}

fn person(issuer: &str, subject: &str) -> PersonKey {
    PersonKey { issuer: issuer.into(), subject: subject.into() }
}

fn key(number: u32) -> SessionKey {
    SessionKey { id: id(number), proof: [number.to_le_bytes()[0]; 32] }
}

/// The id of a number; ids sort as their numbers do.
fn id(number: u32) -> SessionId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

fn sorted(mut ids: Vec<SessionId>) -> Vec<SessionId> {
    ids.sort_unstable();
    ids
}

const ISSUER: &str = "https://id.test/";
const NOW: u64 = 1_800_000_000;
const IDLE: u64 = 600;
