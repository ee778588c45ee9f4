-- Alerting whole: what each recipient was told, acknowledgements, silences, pauses, and the summary of the day.
ALTER TABLE state ADD COLUMN bad INTEGER;
ALTER TABLE state ADD COLUMN missed INTEGER;
CREATE INDEX incident_closed ON incident (closed) WHERE closed IS NOT NULL;

ALTER TABLE told RENAME TO told_1;
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
INSERT INTO told
SELECT t.incident, t.destination, m.recipient, t.level, t.at, t.reminders, 0, t.incident
FROM told_1 AS t
JOIN (SELECT DISTINCT destination, recipient FROM mail) AS m ON m.destination = t.destination;
DROP TABLE told_1;

ALTER TABLE mail ADD COLUMN short INTEGER NOT NULL DEFAULT 0;
UPDATE mail SET before = (
    SELECT json_group_array(json_array(
        json_extract(each.value, '$[0]'),
        'problem',
        2,
        json(CASE WHEN json_type(each.value, '$[1]') = 'array' THEN json_array(
            json_extract(each.value, '$[0]'),
            mail.destination,
            mail.recipient,
            json_extract(each.value, '$[1][2]'),
            json_extract(each.value, '$[1][3]'),
            json_extract(each.value, '$[1][4]'),
            json('false'),
            json_extract(each.value, '$[0]')
        ) END)
    )) FROM json_each(mail.before) AS each
);

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
