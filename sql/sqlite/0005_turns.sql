-- Several collectors share a fleet: who made a sweep and of what part, when each host last had its turn, and who is at it now.
ALTER TABLE sweep ADD COLUMN collector TEXT NOT NULL DEFAULT '';
ALTER TABLE sweep ADD COLUMN shard TEXT NOT NULL DEFAULT '';
ALTER TABLE sweep ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sweep_last ON sweep (collector, shard) WHERE asked = 0;
-- The attempt of the last visit that took place, and failures in a row for which the host is left alone for a while.
ALTER TABLE host ADD COLUMN turn INTEGER;
ALTER TABLE host ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
UPDATE host SET turn = (
    SELECT a.id FROM attempt AS a INDEXED BY attempt_host
    WHERE a.host = host.id AND coalesce(a.cause, '') NOT IN ('back-off', 'no-consent', 'sweep-deadline')
    ORDER BY a.id DESC LIMIT 1
);
-- One collector at a time visits a host: until then, or until it has recorded the visit.
CREATE TABLE lease (
    host TEXT PRIMARY KEY,
    sweep INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
