//! What servers tell when they are pressed: replicas and how far they are behind, keys evicted, deadlocks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on panics")]

use std::time::Duration;

#[path = "support/checked.rs"]
mod checked;
mod support;

use checked::{CANARY, order, value, verdict, visit, with_password};
use support::probed::Bench;
use support::run::until;
use support::servers::{Postgres, Redis};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_redis_tells_of_its_replica_and_the_replica_of_its_primary() {
    let primary = Redis::start(CANARY);
    let more = format!("replicaof 127.0.0.1 {}\nmasterauth {CANARY}\n", primary.port);
    let replica = Redis::with(CANARY, &more);
    let of = |service: &str, server: &Redis| {
        with_password(order(service, "redis", &[("address", &format!("127.0.0.1:{}", server.port))]), CANARY)
    };
    let checks = [of("primary", &primary), of("replica", &replica)];
    let mut bench = Bench::new();
    until("they are linked", PATIENCE, || replica.cli(&["INFO", "replication"]).contains("master_link_status:up"));
    until("the replica has said how far it is", PATIENCE, || {
        primary.cli(&["INFO", "replication"]).contains("state=online")
    });
    let sample = visit(&mut bench, &checks);
    assert_eq!((verdict(&sample, "primary/redis"), verdict(&sample, "replica/redis")), (Some(true), Some(true)));
    assert_eq!(value(&sample, "redis.replicas", "primary"), 1.0);
    assert!(value(&sample, "redis.replication.lag", "primary") < 1e6);
    assert_eq!(sample.value("redis.replication.ok", "primary"), None, "it has no primary");
    assert_eq!(value(&sample, "redis.replication.ok", "replica"), 1.0);
    assert!(value(&sample, "redis.replication.silent", "replica") < 60.0);
    drop(primary);
    until("the link is seen to be down", PATIENCE, || {
        replica.cli(&["INFO", "replication"]).contains("master_link_status:down")
    });
    let sample = visit(&mut bench, &checks);
    assert_eq!((verdict(&sample, "primary/redis"), verdict(&sample, "replica/redis")), (Some(false), Some(true)));
    assert_eq!(value(&sample, "redis.replication.ok", "replica"), 0.0);
}

#[test]
fn a_full_redis_tells_what_it_evicts_whom_it_rejects_and_that_it_cannot_save() {
    let redis = Redis::with(CANARY, "enable-protected-configs yes\n");
    let check = [with_password(order("cache", "redis", &[("socket", redis.socket.to_str().unwrap())]), CANARY)];
    let mut bench = Bench::new();
    let before = visit(&mut bench, &check);
    assert_eq!((value(&before, "redis.evicted", "cache"), value(&before, "redis.rejected", "cache")), (0.0, 0.0));
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "3mb"]);
    redis.cli(&["DEBUG", "POPULATE", "20000", "k", "1000"]);
    redis.cli(&["SET", "one", "more"]);
    let full = visit(&mut bench, &check);
    assert!(value(&full, "redis.evicted", "cache") > 1000.0);
    assert!(value(&full, "redis.memory.used", "cache") > 0.5);
    assert_eq!(value(&full, "redis.persistence.ok", "cache"), 1.0);
    // A name that no file can have: the save in the background fails.
    redis.cli(&["CONFIG", "SET", "dbfilename", &format!("{}.rdb", "x".repeat(300))]);
    redis.cli(&["BGSAVE"]);
    until("the save has failed", PATIENCE, || {
        redis.cli(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err")
    });
    assert_eq!(value(&visit(&mut bench, &check), "redis.persistence.ok", "cache"), 0.0);
}

#[test]
fn a_postgres_and_its_standby_tell_how_far_it_is_behind() {
    let primary = Postgres::start(CANARY);
    primary.psql_in("orders", "create table t(a int)");
    let standby = primary.standby();
    let of = |service: &str, port: u16| {
        let address = format!("127.0.0.1:{port}");
        let attributes = [("address", address.as_str()), ("user", "fleet"), ("database", "orders")];
        with_password(order(service, "postgres", &attributes), CANARY)
    };
    let checks = [of("primary", primary.port), of("standby", standby.port)];
    let mut bench = Bench::new();
    until("it streams", PATIENCE, || {
        primary.count("select count(*) from pg_stat_replication where state = 'streaming'") == 1
    });
    let mut behind = |least: Option<f64>| {
        let mut last = None;
        until("the standby is so far behind", PATIENCE, || {
            let sample = visit(&mut bench, &checks);
            let bytes = sample.value("postgres.replication.behind", "primary/walreceiver");
            let fits = bytes.is_some_and(|bytes| least.is_none_or(|least| bytes >= least));
            last = Some(sample);
            fits
        });
        last.unwrap()
    };
    let sample = behind(None);
    assert_eq!((verdict(&sample, "primary/postgres"), verdict(&sample, "standby/postgres")), (Some(true), Some(true)));
    assert_eq!(value(&sample, "postgres.replicas", "primary"), 1.0);
    assert!(value(&sample, "postgres.replication.lag", "primary/walreceiver") >= 0.0);
    assert!(value(&sample, "postgres.replication.lag", "standby") >= 0.0);
    assert_eq!(sample.value("postgres.replicas", "standby"), None);
    primary.psql_in("orders", "insert into t values (1)");
    until("it is replayed there", PATIENCE, || {
        standby.said("select 1 where pg_last_xact_replay_timestamp() is null").out.contains("(0 rows)")
    });
    // What is received and not replayed is not there yet.
    standby.said("select pg_wal_replay_pause()").ends_with(0);
    primary.psql_in("orders", "insert into t select generate_series(1, 10000)");
    let sample = behind(Some(100_000.0));
    assert!(value(&sample, "postgres.replication.lag", "standby") > 0.0);
    drop(standby);
    until("the primary has noticed", PATIENCE, || primary.count("select count(*) from pg_stat_replication") == 0);
    let sample = visit(&mut bench, &checks);
    assert_eq!(
        (verdict(&sample, "standby/postgres"), value(&sample, "postgres.replicas", "primary")),
        (Some(false), 0.0)
    );
}

#[test]
fn deadlocks_locks_blocks_and_their_time_are_counted() {
    let cluster = Postgres::with(CANARY, "deadlock_timeout = 100ms\n");
    cluster.psql_in(
        "orders",
        "create table a(x int); create table b(x int); insert into a select generate_series(1, 50000)",
    );
    let address = format!("127.0.0.1:{}", cluster.port);
    let attributes = [("address", address.as_str()), ("user", "fleet"), ("database", "orders")];
    let check = [with_password(order("db", "postgres", &attributes), CANARY)];
    let mut bench = Bench::new();
    let before = visit(&mut bench, &check);
    assert_eq!(value(&before, "postgres.deadlocks", "db/orders"), 0.0);
    let cross = |one: &str, other: &str| {
        cluster.blocker(&format!("begin; lock table {one}; select pg_sleep(2); lock table {other}; commit"))
    };
    let both = (cross("a", "b"), cross("b", "a"));
    until("the deadlock is counted", PATIENCE, || {
        cluster.count("select deadlocks from pg_stat_database where datname = 'orders'") >= 1
    });
    drop(both);
    let after = visit(&mut bench, &check);
    assert_eq!(value(&after, "postgres.deadlocks", "db/orders"), 1.0);
    let used = value(&after, "postgres.locks.used", "db");
    assert!((0.0..0.2).contains(&used), "{used}");
    assert!(value(&after, "postgres.blocks.hit", "db/orders") > value(&before, "postgres.blocks.hit", "db/orders"));
    for metric in
        ["postgres.blocks.read", "postgres.read.seconds", "postgres.write.seconds", "postgres.temporary.bytes"]
    {
        assert!(value(&after, metric, "db/orders") >= value(&before, metric, "db/orders"), "{metric}");
    }
    // An index over what does not fit into the memory for it goes through files.
    cluster.psql_in("orders", "set maintenance_work_mem = '1MB'; create index on a(x)");
    until("temporary files are counted", PATIENCE, || {
        cluster.count("select temp_bytes from pg_stat_database where datname = 'orders'") > 0
    });
    assert!(value(&visit(&mut bench, &check), "postgres.temporary.bytes", "db/orders") > 0.0);
}
