-- In which boot a package was sealed, and when by its boot clock, nanoseconds; NULL where that is not
-- known, as in rows of an older version or made again from files. Within its boot a package is as old
-- as that clock says: nobody sets it.
ALTER TABLE package ADD COLUMN sealed_boot TEXT;
ALTER TABLE package ADD COLUMN sealed_ns INTEGER;
CREATE INDEX package_fresh_here ON package(sealed_boot, sealed_ns, severity, seq, told, next_try_ns)
  WHERE state = 'queued';
