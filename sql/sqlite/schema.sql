-- The schema as it results from all migrations; a test compares. For people: the programs read the migrations.
-- Times are milliseconds since 1970 in UTC; hours are hours since 1970.
PRAGMA application_id = 1179406420;

CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    attempt INTEGER,
    sample INTEGER
, rolled INTEGER, gone INTEGER, turn INTEGER, strikes INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE boot (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    seen INTEGER NOT NULL,
    pruned INTEGER,
    UNIQUE (host, name)
) STRICT;

CREATE TABLE layout (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    names TEXT NOT NULL
) STRICT;

CREATE TABLE maker (
    id INTEGER PRIMARY KEY,
    hostname TEXT NOT NULL,
    probe TEXT NOT NULL,
    UNIQUE (hostname, probe)
) STRICT;

CREATE TABLE fault (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    list TEXT NOT NULL
) STRICT;

CREATE TABLE sweep (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started INTEGER NOT NULL,
    ended INTEGER,
    hosts INTEGER NOT NULL,
    failed INTEGER NOT NULL
, collector TEXT NOT NULL DEFAULT '', shard TEXT NOT NULL DEFAULT '', asked INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX sweep_last ON sweep (collector, shard) WHERE asked = 0;

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sweep INTEGER NOT NULL,
    host INTEGER NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    took INTEGER NOT NULL,
    cause TEXT,
    text TEXT,
    sent INTEGER NOT NULL,
    received INTEGER NOT NULL,
    round_trips INTEGER NOT NULL,
    shipped INTEGER NOT NULL
) STRICT;
CREATE INDEX attempt_host ON attempt (host);
CREATE INDEX attempt_at ON attempt (host, at);

CREATE TABLE sample (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    boot INTEGER NOT NULL REFERENCES boot (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempt (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    taken INTEGER,
    layout INTEGER NOT NULL REFERENCES layout (id),
    maker INTEGER NOT NULL REFERENCES maker (id),
    fault INTEGER REFERENCES fault (id),
    readings TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX sample_key ON sample (boot, sequence);
CREATE INDEX sample_at ON sample (host, at);
CREATE INDEX sample_attempt ON sample (attempt);
CREATE INDEX sample_layout ON sample (layout);
CREATE INDEX sample_maker ON sample (maker);
CREATE INDEX sample_fault ON sample (fault) WHERE fault IS NOT NULL;

CREATE TABLE name (
    id INTEGER PRIMARY KEY,
    metric TEXT NOT NULL,
    item TEXT NOT NULL,
    UNIQUE (metric, item)
) STRICT;

CREATE TABLE hourly (
    host INTEGER NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    name INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    min REAL NOT NULL,
    mean REAL NOT NULL,
    max REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (host, name, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE number (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    host TEXT NOT NULL,
    rule TEXT NOT NULL,
    item TEXT NOT NULL,
    level INTEGER NOT NULL,
    warning_bits INTEGER NOT NULL,
    critical_bits INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    below_warning INTEGER NOT NULL,
    below_critical INTEGER NOT NULL,
    warning_since INTEGER,
    critical_since INTEGER,
    last INTEGER,
    missing INTEGER NOT NULL,
    value REAL,
    incident INTEGER, bad INTEGER, missed INTEGER,
    PRIMARY KEY (host, rule, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE incident (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    rule TEXT NOT NULL,
    item TEXT NOT NULL,
    level INTEGER NOT NULL,
    worst INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    closed INTEGER,
    ending TEXT,
    value REAL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX incident_open ON incident (id) WHERE closed IS NULL;
CREATE INDEX incident_host ON incident (host);
CREATE INDEX incident_closed ON incident (closed) WHERE closed IS NOT NULL;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    value REAL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX event_incident ON event (incident);

CREATE TABLE told (
    incident INTEGER NOT NULL,
    destination TEXT NOT NULL,
    recipient TEXT NOT NULL,
    level INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reminders INTEGER NOT NULL,
    flapping INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    PRIMARY KEY (incident, destination, recipient)
) STRICT, WITHOUT ROWID;

CREATE TABLE mail (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    body BLOB NOT NULL,
    created INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    maybe INTEGER NOT NULL,
    next INTEGER NOT NULL,
    error TEXT NOT NULL,
    before TEXT NOT NULL
, short INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX mail_queued ON mail (id) WHERE state = 'queued';

CREATE TABLE heartbeat (
    role TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE consent (
    host TEXT PRIMARY KEY,
    by TEXT NOT NULL,
    purpose TEXT NOT NULL,
    granted INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE VIEW reading (host, metric, item, at, value) AS
SELECT
    host.name,
    json_extract(layout.names, '$[' || each.key || '][0]'),
    json_extract(layout.names, '$[' || each.key || '][1]'),
    strftime('%Y-%m-%dT%H:%M:%SZ', sample.at / 1000, 'unixepoch'),
    each.value
FROM sample
JOIN host ON host.id = sample.host
JOIN layout ON layout.id = sample.layout
JOIN json_each(sample.readings) AS each;

CREATE TABLE fact (
    host INTEGER NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    item TEXT NOT NULL,
    since INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (host, name, item, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE process (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    user TEXT NOT NULL,
    comm TEXT NOT NULL,
    unit TEXT NOT NULL,
    command TEXT NOT NULL,
    seen INTEGER NOT NULL,
    UNIQUE (host, user, comm, unit, command)
) STRICT;

CREATE TABLE top (
    sample INTEGER PRIMARY KEY REFERENCES sample (id) ON DELETE CASCADE,
    list TEXT NOT NULL
) STRICT;

CREATE VIEW top_process (host, at, by, pid, user, comm, unit, command, value) AS
SELECT
    host.name,
    strftime('%Y-%m-%dT%H:%M:%SZ', sample.at / 1000, 'unixepoch'),
    CASE part.key WHEN 0 THEN 'cpu' WHEN 1 THEN 'memory' ELSE 'io' END,
    one.value,
    process.user,
    process.comm,
    process.unit,
    process.command,
    json_extract(part.value, '$[' || (one.key + 2) || ']')
FROM top
JOIN sample ON sample.id = top.sample
JOIN host ON host.id = sample.host
JOIN json_each(top.list) AS part
JOIN json_each(part.value) AS one ON one.key % 3 = 0
JOIN process ON process.id = json_extract(part.value, '$[' || (one.key + 1) || ']');

CREATE TABLE ack (
    incident INTEGER PRIMARY KEY,
    by TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER,
    sticky INTEGER NOT NULL,
    level INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE silence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hosts TEXT NOT NULL,
    groups TEXT NOT NULL,
    services TEXT NOT NULL,
    rules TEXT NOT NULL,
    starts INTEGER,
    ends INTEGER,
    days INTEGER,
    from_minute INTEGER,
    until_minute INTEGER,
    zone TEXT,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    created INTEGER NOT NULL,
    ended INTEGER
) STRICT;

CREATE TABLE pause (
    what TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    until INTEGER NOT NULL,
    error TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE summary (
    destination TEXT NOT NULL,
    recipient TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (destination, recipient)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    host TEXT PRIMARY KEY,
    sweep INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
