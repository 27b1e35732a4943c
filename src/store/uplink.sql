-- What a receiver has said of a package that waits for a wider link: told is the last lane it
-- asked nothing more of (0 nothing known, 1 the head, 2 pictures). It saves repeating them; lost,
-- they are sent once more.
ALTER TABLE package ADD COLUMN told INTEGER NOT NULL DEFAULT 0 CHECK(told BETWEEN 0 AND 2);
CREATE INDEX package_newest ON package(state, severity DESC, seq DESC);
