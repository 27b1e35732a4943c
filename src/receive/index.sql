CREATE TABLE package(
  device TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, sig_sha256 TEXT NOT NULL,
  kind TEXT NOT NULL, outcome TEXT NOT NULL, grade TEXT, at TEXT NOT NULL,
  site TEXT, zone TEXT, lat_e7 INTEGER, lon_e7 INTEGER, bytes INTEGER NOT NULL,
  receiver TEXT, stored TEXT,
  copied INTEGER NOT NULL DEFAULT 0 CHECK(copied IN(0,1)),  -- the second copy was read back
  gone TEXT,                                                -- when it was noticed that it is not there
  PRIMARY KEY(device, id)) STRICT, WITHOUT ROWID;
CREATE INDEX package_seq ON package(device, seq);
CREATE INDEX package_uncopied ON package(device, id) WHERE copied = 0 AND gone IS NULL;
CREATE INDEX package_gone ON package(device, id) WHERE gone IS NOT NULL;
CREATE TABLE refused(
  device TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, sig_sha256 TEXT NOT NULL,
  why TEXT NOT NULL, at TEXT NOT NULL, receiver TEXT NOT NULL,
  PRIMARY KEY(device, id)) STRICT, WITHOUT ROWID;
CREATE TABLE device(
  id TEXT PRIMARY KEY, seen TEXT, state TEXT,
  seq_max INTEGER NOT NULL DEFAULT 0,                       -- the largest number a verified head had
  journal_n INTEGER, journal_sha256 TEXT) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
