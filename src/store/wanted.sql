-- Packages that a person asked to be sent with everything the link's profile holds back. Of one that
-- a receiver has answered it says nothing any more.
ALTER TABLE package ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0 CHECK(wanted IN (0, 1));
