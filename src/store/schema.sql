-- The queue and index of the evidence store. packages/ and journal/ are the truth: this file
-- can be deleted and is made again from them; only open cases (draft, meta 'book') are lost then.

-- device: whose store this is. book: the judge's open cases. last_receipt: for `after`.
CREATE TABLE meta(
  k TEXT PRIMARY KEY,
  v TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A case that is not sealed yet: what the keeper noted about it.
CREATE TABLE draft_case(
  id   TEXT PRIMARY KEY CHECK(length(id) = 36),
  note TEXT
) STRICT, WITHOUT ROWID;

-- A file of such a case, under staging/<id>/.
CREATE TABLE draft(
  case_id TEXT NOT NULL REFERENCES draft_case(id) ON DELETE CASCADE,
  name    TEXT NOT NULL,
  type    TEXT NOT NULL,
  size    INTEGER NOT NULL CHECK(size >= 0),
  sha256  TEXT NOT NULL CHECK(length(sha256) = 64),
  at      TEXT,
  pts_ns  INTEGER CHECK(pts_ns >= 0),
  PRIMARY KEY(case_id, name)
) STRICT, WITHOUT ROWID;

-- A sealed package, under packages/<id>/.
CREATE TABLE package(
  id           TEXT PRIMARY KEY CHECK(length(id) = 36),
  seq          INTEGER NOT NULL UNIQUE CHECK(seq > 0),        -- per device, no gaps
  state        TEXT NOT NULL CHECK(state IN
               ('sealed','queued','sending','sent','receipted','refused','damaged','pruned')),
  kind         TEXT NOT NULL,                                 -- violation.kind of the statement
  severity     INTEGER NOT NULL CHECK(severity BETWEEN 0 AND 9),
  occurred_ms  INTEGER NOT NULL,
  sealed_ms    INTEGER NOT NULL,
  bytes        INTEGER NOT NULL CHECK(bytes >= 0),
  sig_sha256   TEXT CHECK(length(sig_sha256) = 64),           -- of META-INF/signature001.p7s
  journal_n    INTEGER,                                       -- line that says it was sealed
  attempts     INTEGER NOT NULL DEFAULT 0 CHECK(attempts >= 0),
  next_try_ns  INTEGER NOT NULL DEFAULT 0,                    -- boot clock; 0 after every start
  last_error   TEXT,
  receipt      BLOB,                                          -- the receiver's signed answer
  receipted_ms INTEGER,
  CHECK(state = 'damaged' OR sig_sha256 IS NOT NULL),
  CHECK(state NOT IN ('receipted','pruned') OR receipt IS NOT NULL)
) STRICT;
CREATE INDEX package_due ON package(state, severity DESC, seq);

-- A file of a package.
CREATE TABLE blob(
  package_id TEXT NOT NULL REFERENCES package(id),
  name       TEXT NOT NULL,
  size       INTEGER NOT NULL CHECK(size >= 0),
  sha256     TEXT NOT NULL CHECK(length(sha256) = 64),
  lane       INTEGER NOT NULL CHECK(lane IN (1, 2, 3)),       -- 1 head, 2 picture, 3 video
  PRIMARY KEY(package_id, name)
) STRICT, WITHOUT ROWID;

-- Where each journal line lies, and how far the journal has been taken into this file.
CREATE TABLE journal(
  n       INTEGER PRIMARY KEY CHECK(n > 0),
  at      TEXT NOT NULL,
  kind    TEXT NOT NULL,
  sha256  TEXT NOT NULL CHECK(length(sha256) = 64),
  segment INTEGER NOT NULL CHECK(segment > 0),
  off     INTEGER NOT NULL CHECK(off >= 0),
  len     INTEGER NOT NULL CHECK(len > 0)
) STRICT;

CREATE TRIGGER package_step BEFORE UPDATE OF state ON package
WHEN NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN (
  'sealed>queued', 'queued>sending', 'sending>queued', 'sending>sent', 'sent>queued',
  'sent>receipted', 'sending>receipted', 'queued>receipted', 'refused>receipted',
  'damaged>receipted', 'sent>refused', 'sending>refused', 'queued>refused', 'refused>queued',
  'receipted>pruned', 'sealed>damaged', 'queued>damaged', 'sending>damaged', 'sent>damaged',
  'damaged>queued')
BEGIN SELECT RAISE(ABORT, 'illegal package step'); END;

CREATE TRIGGER package_keep BEFORE DELETE ON package
BEGIN SELECT RAISE(ABORT, 'packages are never deleted, only pruned'); END;

CREATE TRIGGER package_fixed BEFORE UPDATE OF id, seq, sig_sha256, occurred_ms ON package
WHEN OLD.sig_sha256 IS NOT NULL AND (NEW.id <> OLD.id OR NEW.seq <> OLD.seq
  OR NEW.sig_sha256 IS NOT OLD.sig_sha256 OR NEW.occurred_ms <> OLD.occurred_ms)
BEGIN SELECT RAISE(ABORT, 'a sealed package is fixed'); END;

CREATE TRIGGER blob_fixed BEFORE UPDATE ON blob
BEGIN SELECT RAISE(ABORT, 'a sealed file is fixed'); END;

CREATE TRIGGER blob_keep BEFORE DELETE ON blob
WHEN (SELECT state FROM package WHERE id = OLD.package_id) <> 'pruned'
BEGIN SELECT RAISE(ABORT, 'files of a package are never deleted, only pruned'); END;
