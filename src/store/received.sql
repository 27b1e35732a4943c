-- The receiver's time, as its receipt says it, UTC milliseconds; NULL in rows that were made
-- before this column and where it cannot be read.
ALTER TABLE package ADD COLUMN received_ms INTEGER;
