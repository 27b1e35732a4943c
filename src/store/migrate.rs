//! Opening the database: settings, schema, and whether it can be trusted.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::StoreError;

/// Every version of the schema, oldest first. A published one is never changed.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("stamps.sql")),
    M::up(include_str!("mirror.sql")),
    M::up(include_str!("uplink.sql")),
    M::up(include_str!("commands.sql")),
    M::up(include_str!("received.sql")),
    M::up(include_str!("wanted.sql")),
    M::up(include_str!("backlog.sql")),
    M::up(include_str!("retold.sql")),
    M::up(include_str!("fresh.sql")),
];

const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// How long a reader outside may hold us up.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the database at `path`, makes it when missing, brings it to the newest schema and
/// checks it.
///
/// [`StoreError::Corrupt`] means that the file cannot be trusted and must be made again;
/// every other error is about the disk, and says nothing about the file.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settle(&conn)?;
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt(verdict));
    }
    migrate(&mut conn)?;
    if shape(&conn)? != expected_shape() {
        let what = "the tables are not those of this version";
        return Err(StoreError::Corrupt(what.to_owned()));
    }
    Ok(conn)
}

/// Durable commits, enforced references, no SQL functions in a schema someone else wrote.
fn settle(conn: &Connection) -> Result<(), StoreError> {
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
    Ok(())
}

fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    MIGRATIONS.to_latest(conn).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        // Among these: a database of a newer version, left by a downgrade.
        other => StoreError::Corrupt(other.to_string()),
    })
}

/// Type, name and text of everything in the schema.
fn shape(conn: &Connection) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
    let mut query = conn.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn expected_shape() -> Vec<(String, String, Option<String>)> {
    Connection::open_in_memory()
        .map_err(StoreError::from)
        .and_then(|mut conn| {
            migrate(&mut conn)?;
            shape(&conn)
        })
        .expect("invariant: the migrations run on an empty database")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = open(&dir.path().join("q.db")).unwrap();
        (dir, conn)
    }

    fn insert(conn: &Connection, state: &str) {
        conn.execute(
            "INSERT INTO package(id, seq, state, kind, severity, occurred_ms, sealed_ms, bytes, \
             sig_sha256, receipt) VALUES(?1, 1, ?2, 'x', 5, 0, 0, 0, ?3, x'00')",
            ("0".repeat(36), state, "0".repeat(64)),
        )
        .unwrap();
    }

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn the_settings_hold() {
        let (_dir, conn) = database();
        for (pragma, value) in [
            ("journal_mode", "wal"),
            ("synchronous", "2"),
            ("foreign_keys", "1"),
            ("trusted_schema", "0"),
            ("journal_size_limit", "4194304"),
            ("busy_timeout", "5000"),
        ] {
            let got: rusqlite::types::Value = conn
                .pragma_query_value(None, pragma, |row| row.get(0))
                .unwrap();
            let got = match got {
                rusqlite::types::Value::Integer(n) => n.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => panic!("{other:?}"),
            };
            assert_eq!(got, value, "{pragma}");
        }
    }

    #[test]
    fn only_the_drawn_steps_are_legal() {
        let states = [
            "sealed",
            "queued",
            "sending",
            "sent",
            "receipted",
            "refused",
            "damaged",
            "pruned",
        ];
        let legal = "sealed>queued sealed>damaged queued>sending queued>receipted queued>refused \
            queued>damaged sending>queued sending>sent sending>receipted sending>refused \
            sending>damaged sent>queued sent>receipted sent>refused sent>damaged \
            refused>queued refused>receipted damaged>queued damaged>receipted receipted>pruned";
        for from in states {
            for to in states {
                let (_dir, conn) = database();
                insert(&conn, from);
                let result = conn.execute("UPDATE package SET state = ?1", [to]);
                let step = format!("{from}>{to}");
                let expected = from == to || legal.split(' ').any(|l| l == step);
                assert_eq!(result.is_ok(), expected, "{step}");
            }
        }
    }

    #[test]
    fn what_is_sealed_cannot_be_changed_or_deleted() {
        let (_dir, conn) = database();
        insert(&conn, "queued");
        let blob = ("0".repeat(36), "1".repeat(64));
        conn.execute("INSERT INTO blob VALUES(?1, 'a', 1, ?2, 2)", blob)
            .unwrap();
        for sql in [
            "DELETE FROM package",
            "DELETE FROM blob",
            "UPDATE blob SET size = 2",
            "UPDATE package SET seq = 2",
            "UPDATE package SET sig_sha256 = NULL",
            "UPDATE package SET occurred_ms = 5",
            "UPDATE package SET id = 'x'",
            "UPDATE package SET state = 'lost'",
            "UPDATE package SET severity = 10",
        ] {
            assert!(conn.execute(sql, []).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_database_of_another_shape_is_not_trusted() {
        for sql in [
            "DROP TRIGGER package_keep",
            "ALTER TABLE package ADD COLUMN more TEXT",
            "DROP TABLE draft",
            "PRAGMA user_version = 77",
        ] {
            let (dir, conn) = database();
            conn.execute_batch(sql).unwrap();
            drop(conn);
            let result = open(&dir.path().join("q.db"));
            assert!(matches!(result, Err(StoreError::Corrupt(_))), "{sql}");
        }
    }
}
