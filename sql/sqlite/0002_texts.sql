-- What is not a number: facts of a host with the time of their change, and the processes that took most.
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
