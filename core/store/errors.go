package store

import (
	"database/sql/driver"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	driversqlite "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// sqliteCode is SQLite's primary result code, 0 for other errors.
func sqliteCode(err error) int {
	var e *driversqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// postgresState is the SQLSTATE, "" for other errors.
func postgresState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// IsConstraint says that a statement would have broken a rule of the schema: a key that is there, a reference to what is not, a
// NULL or a value that may not be. Nothing of its transaction is kept on PostgreSQL.
func IsConstraint(err error) bool { return isConstraint(err) }

func isConstraint(err error) bool {
	return sqliteCode(err) == sqlitelib.SQLITE_CONSTRAINT || strings.HasPrefix(postgresState(err), "23")
}

// IsTaken says that a row with the same key is there already.
func IsTaken(err error) bool {
	var e *driversqlite.Error
	if errors.As(err, &e) {
		return e.Code() == sqlitelib.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return postgresState(err) == "23505"
}

// IsNotText says that a text of a statement holds what PostgreSQL keeps in none: a NUL, or bytes that are no UTF-8. SQLite
// takes both.
func IsNotText(err error) bool {
	state := postgresState(err)
	return state == "22021" || state == "22P05"
}

// IsFull says that the database has no room left. Nothing of the transaction is kept; it may be run again when there is.
func IsFull(err error) bool {
	return sqliteCode(err) == sqlitelib.SQLITE_FULL || postgresState(err) == "53100"
}

// IsUnavailable says that the database does not answer, does not take more connections, or is held by somebody else:
// the same call may succeed later.
func IsUnavailable(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true
	}
	switch state := postgresState(err); {
	case state == "53300", state == "55P03", strings.HasPrefix(state, "57P"), strings.HasPrefix(state, "08"):
		return true
	case state != "":
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || sqliteCode(err) == sqlitelib.SQLITE_BUSY
}
