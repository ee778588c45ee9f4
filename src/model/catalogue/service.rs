//! Metrics of service checks. Items start with the service: `shop`, `shop/name` where the check has a name, and
//! `shop/orders` where a check has items of its own; those of `check.*` are always `service/check`.

use super::m;
use crate::model::metric::{Direction::*, Kind::*, Metric, Unit::*};

const CHECK: &str = "service/check";
const SERVICE: &str = "service";
const DATABASE: &str = "service/database";

/// In the order in which tables and documentation show them.
pub(super) const METRICS: &[Metric] = &[
    m("check.ok", Gauge, Count, LowIsBad, CHECK, "1 where the service answered rightly, 0 where it did not"),
    m(
        "check.unknown",
        Gauge,
        Count,
        HighIsBad,
        CHECK,
        "1 where the check could not tell, for want of a right or a plugin",
    ),
    m("check.seconds", Gauge, Seconds, HighIsBad, CHECK, "Time that the check took"),
    m("check.age", Gauge, Seconds, HighIsBad, CHECK, "Age of the readings of a check with an interval of its own"),
    m("tcp.connect", Gauge, Seconds, HighIsBad, SERVICE, "Time to connect"),
    m("tcp.latency", Gauge, Seconds, HighIsBad, SERVICE, "Time to connect and to get the answer that is expected"),
    m("http.latency", Gauge, Seconds, HighIsBad, SERVICE, "Time from the name to the last byte of the page"),
    m("http.latency.dns", Gauge, Seconds, HighIsBad, SERVICE, "Time to find the address"),
    m("http.latency.connect", Gauge, Seconds, HighIsBad, SERVICE, "Time to connect"),
    m("http.latency.tls", Gauge, Seconds, HighIsBad, SERVICE, "Time to agree on encryption"),
    m("http.latency.first-byte", Gauge, Seconds, HighIsBad, SERVICE, "Time from the question to the first byte"),
    m("http.status", Gauge, Count, HighIsBad, SERVICE, "Status of the answer"),
    m("http.size", Gauge, Bytes, HighIsBad, SERVICE, "Bytes of the page, as far as it was read"),
    m("http.certificate.left", Gauge, Seconds, LowIsBad, SERVICE, "Time until the certificate ends"),
    m("redis.latency", Gauge, Seconds, HighIsBad, SERVICE, "Time to connect, to log in and to get an answer"),
    m("redis.uptime", Gauge, Seconds, LowIsBad, SERVICE, "Time since the server's start"),
    m("redis.memory", Gauge, Bytes, HighIsBad, SERVICE, "Memory that the data takes"),
    m("redis.memory.used", Gauge, Ratio, HighIsBad, SERVICE, "Share of maxmemory in use"),
    m("redis.clients", Gauge, Count, HighIsBad, SERVICE, "Clients connected"),
    m("redis.clients.used", Gauge, Ratio, HighIsBad, SERVICE, "Share of maxclients in use"),
    m("redis.clients.blocked", Gauge, Count, HighIsBad, SERVICE, "Clients that wait in a blocking call"),
    m("redis.rejected", Counter, Count, HighIsBad, SERVICE, "Connections rejected for want of maxclients since start"),
    m("redis.keys", Gauge, Count, HighIsBad, SERVICE, "Keys in all databases"),
    m("redis.evicted", Counter, Count, HighIsBad, SERVICE, "Keys evicted for want of memory since start"),
    m("redis.expired", Counter, Count, HighIsBad, SERVICE, "Keys expired since start"),
    m("redis.hits", Counter, Count, LowIsBad, SERVICE, "Look-ups that found their key since start"),
    m("redis.misses", Counter, Count, HighIsBad, SERVICE, "Look-ups that found nothing since start"),
    m(
        "redis.hit-ratio",
        Gauge,
        Ratio,
        LowIsBad,
        SERVICE,
        "Share of look-ups that found their key since the last sample",
    ),
    m("redis.commands", Counter, Count, HighIsBad, SERVICE, "Commands processed since start"),
    m("redis.operations", Gauge, Count, HighIsBad, SERVICE, "Commands per second now, as the server reckons"),
    m("redis.cpu.seconds", Counter, Seconds, HighIsBad, SERVICE, "Processor time of the server since start"),
    m("redis.unsaved", Gauge, Count, HighIsBad, SERVICE, "Changes since the last save"),
    m("redis.persistence.ok", Gauge, Count, LowIsBad, SERVICE, "1 where the last save and the log succeeded"),
    m("redis.replicas", Gauge, Count, LowIsBad, SERVICE, "Replicas connected"),
    m("redis.replication.ok", Gauge, Count, LowIsBad, SERVICE, "1 where this replica is linked to its primary"),
    m("redis.replication.silent", Gauge, Seconds, HighIsBad, SERVICE, "Time since this replica heard of its primary"),
    m("redis.replication.lag", Gauge, Bytes, HighIsBad, SERVICE, "Bytes that the slowest replica is behind"),
];

/// Metrics whose values come from elsewhere and may be negative.
pub(super) const SIGNED: &[&str] = &["nagios.value", "prometheus.value"];
