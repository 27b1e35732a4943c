-- What a backlog of thousands is asked again and again, each answered by an index that holds only the
-- rows that wait: which is gravest, which oldest, which fresh, whose time-stamp is due.
DROP INDEX package_due;
DROP INDEX package_newest;
DROP INDEX stamp_due;
CREATE INDEX package_state ON package(state, seq);
CREATE INDEX package_gravest ON package(severity DESC, seq DESC, told, next_try_ns) WHERE state = 'queued';
CREATE INDEX package_oldest ON package(seq, told, next_try_ns) WHERE state = 'queued';
CREATE INDEX package_fresh ON package(sealed_ms, severity, seq, told, next_try_ns) WHERE state = 'queued';
CREATE INDEX stamp_next ON stamp(attempts, package_id DESC) WHERE stamped_ms IS NULL;
