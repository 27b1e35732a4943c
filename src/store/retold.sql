-- When a package was last held, UTC milliseconds (0 with told = 0, or by an older version): receivers forget, so
-- what was told long ago is told again.
ALTER TABLE package ADD COLUMN told_ms INTEGER NOT NULL DEFAULT 0;
