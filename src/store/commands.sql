-- Commands from outside and reviewers' verdicts. All of it is made again from the journal, but for
-- the replies themselves: then the outcome is told anew.

-- One row per command that a permitted person signed; the oldest answered ones go.
CREATE TABLE command(
  id          TEXT PRIMARY KEY CHECK(length(id) = 36),
  n           INTEGER NOT NULL CHECK(n > 0),                   -- journal line that it came
  sha256      TEXT NOT NULL CHECK(length(sha256) = 64),        -- of the signed command
  body        BLOB,                                            -- the signed command until it is answered
  outcome     TEXT CHECK(outcome IN ('done','refused','unsupported','failed','interrupted')), -- NULL: under way
  why         TEXT,
  result      TEXT,                                            -- JSON, until the reply is signed
  reply       BLOB,                                            -- the signed reply
  taken       INTEGER NOT NULL DEFAULT 0 CHECK(taken IN (0, 1)) -- the broker had a listener for it
) STRICT, WITHOUT ROWID;
CREATE INDEX command_due ON command(taken, n);

-- How far each person has counted: what is not above was sent before.
CREATE TABLE signer(
  subject TEXT PRIMARY KEY,
  seq     INTEGER NOT NULL CHECK(seq > 0)
) STRICT, WITHOUT ROWID;

-- The newest verdict of each reviewer on each package.
CREATE TABLE verdict(
  package_id TEXT NOT NULL CHECK(length(package_id) = 36),
  reviewer   TEXT NOT NULL,
  verdict    TEXT NOT NULL CHECK(verdict IN ('accepted', 'rejected')),
  at_ms      INTEGER NOT NULL,                                -- the reviewer's time
  n          INTEGER NOT NULL CHECK(n > 0),                   -- journal line
  rule       TEXT NOT NULL,
  model      TEXT NOT NULL,                                   -- SHA-256; empty: not stated
  place      TEXT NOT NULL,                                   -- announced number; empty: none
  PRIMARY KEY(package_id, reviewer)
) STRICT, WITHOUT ROWID;
CREATE INDEX verdict_rule ON verdict(rule, model, n);

-- Which rules make leads only, and from which line on their verdicts count.
CREATE TABLE rule(
  rule       TEXT PRIMARY KEY,
  leads_only INTEGER NOT NULL CHECK(leads_only IN (0, 1)),
  since_n    INTEGER NOT NULL CHECK(since_n >= 0)
) STRICT, WITHOUT ROWID;

-- Packages whose pictures and video an administrator had removed before they were receipted.
CREATE TABLE evicted(
  package_id TEXT PRIMARY KEY CHECK(length(package_id) = 36)
) STRICT, WITHOUT ROWID;
