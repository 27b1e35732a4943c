-- A time-stamp over what came with the receipt. A row is made with the receipt and made again
-- from the journal; packages receipted before this table was there get theirs now.
CREATE TABLE stamp(
  package_id  TEXT PRIMARY KEY REFERENCES package(id),
  head_n      INTEGER CHECK(head_n >= 0),                     -- the journal line the receipt names
  head_sha256 TEXT CHECK(length(head_sha256) = 64),           -- and its hash
  added       INTEGER NOT NULL DEFAULT 0 CHECK(added IN (0, 1)), -- ASiCManifest002.xml is there
  attempts    INTEGER NOT NULL DEFAULT 0 CHECK(attempts >= 0),
  stamped_ms  INTEGER                                         -- NULL: still to come
) STRICT, WITHOUT ROWID;
CREATE INDEX stamp_due ON stamp(stamped_ms, attempts);
INSERT INTO stamp(package_id) SELECT id FROM package WHERE state IN ('receipted', 'pruned');
