package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// URLVariable is the environment variable that names the server to be shared,
// as a connection URL of a user who may create databases.
const URLVariable = "TOLLGATE_TEST_POSTGRES_URL"

// requireAll is the environment variable that turns a missing server from a
// skipped test into a failed one.
const requireAll = "TOLLGATE_REQUIRE_ALL"

// statementTime is how long one statement to make or drop a database may take:
// on a server older than 15 either one waits for a checkpoint.
const statementTime = 3 * time.Minute

// URL returns the connection URL of a new, empty database, encoded in UTF-8,
// which is dropped when the test has ended, along with the connections to it
// that are still open then.
func URL(tb testing.TB) string {
	tb.Helper()
	server, err := shared()
	if err != nil {
		giveUp(tb, err, os.Getenv(requireAll) == "1")
	}
	name := databaseName(tb.Name(), rand.Text())
	// The other template may hold what whoever runs the server put there.
	if err := execute(server.url, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		tb.Fatalf("make a database on PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if err := execute(server.url, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop the test's database on PostgreSQL: %v", err)
		}
	})
	own := *server.url
	own.Path = "/" + name
	return own.String()
}

// shared finds the shared server once for the process.
var shared = sync.OnceValues(func() (*found, error) {
	return search{
		configured: os.Getenv(URLVariable),
		local:      "127.0.0.1:5432",
		users:      localUsers(),
		programs:   programFolders(),
	}.find(context.Background())
})

// missingError says that there is no PostgreSQL, and how to get it.
type missingError struct{ advice string }

func (e *missingError) Error() string { return "no PostgreSQL: " + e.advice }

// giveUp skips the test if all that is wrong is that this machine has no
// PostgreSQL, and fails it otherwise.
func giveUp(tb testing.TB, err error, required bool) {
	tb.Helper()
	var missing *missingError
	if errors.As(err, &missing) && !required {
		tb.Skip(err)
	}
	tb.Fatal(err)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// databaseName is an identifier that needs no quotes. It tells a person which
// test a database is of; the salt alone keeps two tests apart.
func databaseName(test, salt string) string {
	const (
		prefix  = "tollgate_test_"
		salting = 12 // characters of five random bits each
		longest = 63 // bytes; PostgreSQL cuts off the rest
	)
	test = notInName.ReplaceAllString(strings.ToLower(test), "_")
	test = test[:min(len(test), longest-len(prefix)-salting-1)]
	return prefix + test + "_" + strings.ToLower(salt[:salting])
}

// execute runs one statement over a connection of its own.
func execute(server *url.URL, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, statement); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", statement, err), conn.Close(ctx))
	}
	return conn.Close(ctx)
}
