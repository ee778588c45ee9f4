-- Hours are made of samples as soon as they are over, not only when the samples go: a chart over a month reads hours. Every
-- sample of an hour before `rolled` is counted in its hour, and those of `rolled` and later are not. Of an hour before `gone`
-- some samples were taken away; all of `gone` and later are whole. Both are hours since 1970.
ALTER TABLE host ADD COLUMN rolled INTEGER;
ALTER TABLE host ADD COLUMN gone INTEGER;
-- What was rolled up so far are samples that are gone; of the last such hour some may be left, and are added to it later.
UPDATE host SET rolled = (SELECT max(hour) FROM hourly WHERE hourly.host = host.id);
UPDATE host SET gone = rolled;
