-- The second copy, and what a receipt says of the receiver's copies.
-- copies: how many the receiver keeps; NULL when no receipt said so.
-- additions: how often something came to a sealed package.
-- mirror: how many of these additions the second medium has; NULL when it has no copy at all.
ALTER TABLE package ADD COLUMN copies INTEGER CHECK(copies >= 0);
ALTER TABLE package ADD COLUMN additions INTEGER NOT NULL DEFAULT 0 CHECK(additions >= 0);
ALTER TABLE package ADD COLUMN mirror INTEGER CHECK(mirror >= 0);

-- The rows of a damaged package are what could be read of it; they are made anew when it is
-- whole again.
DROP TRIGGER blob_keep;
CREATE TRIGGER blob_keep BEFORE DELETE ON blob
WHEN (SELECT state FROM package WHERE id = OLD.package_id) NOT IN ('pruned', 'damaged')
BEGIN SELECT RAISE(ABORT, 'files of a package are never deleted, only pruned'); END;

CREATE TRIGGER package_receipt_added AFTER UPDATE OF receipt ON package
BEGIN UPDATE package SET additions = additions + 1 WHERE id = NEW.id; END;

CREATE TRIGGER package_stamp_added AFTER UPDATE OF added, stamped_ms ON stamp
BEGIN UPDATE package SET additions = additions + 1 WHERE id = NEW.package_id; END;
