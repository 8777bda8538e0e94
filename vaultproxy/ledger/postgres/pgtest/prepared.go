package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Prepared hands out databases that are all alike. To make one takes a server
// longer than most tests do: a test that has ended passes its database on, emptied.
// One that has failed does not, and those that nobody uses are dropped.
type Prepared struct {
	prepare func(url string) error

	mu    sync.Mutex
	idle  []*prepared
	inUse map[string]*prepared // by URL
}

// prepared is one such database.
type prepared struct {
	server *url.URL
	name   string
	tables []string // that are emptied
}

// Prepare says how a database is prepared. Tables that are empty when it returns
// are empty for every test; the others, and sequences, stay as the last test left
// them.
func Prepare(prepare func(url string) error) *Prepared {
	return &Prepared{prepare: prepare, inUse: map[string]*prepared{}}
}

// URL returns the connection URL of a database that is the test's own until it
// has ended. Connections that are still open then are cut.
func (p *Prepared) URL(tb testing.TB) string {
	tb.Helper()
	server, err := shared()
	if err != nil {
		giveUp(tb, err, os.Getenv(requireAll) == "1")
	}
	d, err := p.take(server.url)
	if err != nil {
		tb.Fatalf("prepare a database on PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		if err := p.giveBack(d, !tb.Failed()); err != nil {
			tb.Errorf("empty the test's database on PostgreSQL: %v", err)
		}
	})
	return d.url().String()
}

func (p *Prepared) take(server *url.URL) (*prepared, error) {
	if d, ok := p.reuse(); ok {
		return d, nil
	}
	d := &prepared{server: server, name: databaseName("prepared", rand.Text())}
	p.lend(d)
	err := execute(server, "CREATE DATABASE "+d.name+" TEMPLATE template0 ENCODING 'UTF8'")
	if err == nil {
		err = p.prepare(d.url().String())
	}
	if err == nil {
		err = d.noteEmptyTables()
	}
	if err != nil {
		return nil, errors.Join(err, p.giveBack(d, false))
	}
	return d, nil
}

func (p *Prepared) reuse() (*prepared, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil, false
	}
	d := p.idle[last]
	p.idle = p.idle[:last]
	p.inUse[d.url().String()] = d
	return d, true
}

func (p *Prepared) lend(d *prepared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse[d.url().String()] = d
}

// Empty empties a database that URL returned, for a test that begins anew.
func (p *Prepared) Empty(tb testing.TB, url string) {
	tb.Helper()
	p.mu.Lock()
	d := p.inUse[url]
	p.mu.Unlock()
	if d == nil {
		tb.Fatal("this database is not the test's own")
	}
	if err := d.empty(); err != nil {
		tb.Fatalf("empty the test's database on PostgreSQL: %v", err)
	}
}

func (p *Prepared) giveBack(d *prepared, again bool) error {
	var err error
	if again {
		if err = d.empty(); err != nil {
			again = false
		}
	}
	p.mu.Lock()
	delete(p.inUse, d.url().String())
	var gone []*prepared
	if again {
		p.idle = append(p.idle, d)
	} else {
		gone = append(gone, d)
	}
	if len(p.inUse) == 0 {
		gone, p.idle = append(gone, p.idle...), nil
	}
	p.mu.Unlock()
	for _, d := range gone {
		err = errors.Join(err, execute(d.server, "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)"))
	}
	return err
}

func (d *prepared) url() *url.URL {
	own := *d.server
	own.Path = "/" + d.name
	return &own
}

// within runs something over a connection to the database.
func (d *prepared) within(run func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.url().String())
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, conn), conn.Close(ctx))
}

func (d *prepared) noteEmptyTables() error {
	return d.within(func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
			WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
		if err != nil {
			return err
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, table := range tables {
			var filled bool
			if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+")").Scan(&filled); err != nil {
				return err
			}
			if !filled {
				d.tables = append(d.tables, table)
			}
		}
		return nil
	})
}

// empty cuts the connections that the test left open, of which there should be
// none, and waits for the end of what they had begun.
func (d *prepared) empty() error {
	return d.within(func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			return err
		}
		if len(d.tables) == 0 {
			return nil
		}
		// Truncating makes new files and syncs them, which takes far longer than to
		// delete the few rows of a test. In one statement, their order does not matter.
		deletes := make([]string, 0, len(d.tables))
		for i, table := range d.tables {
			deletes = append(deletes, fmt.Sprintf("t%d AS (DELETE FROM %s)", i, table))
		}
		for _, statement := range []string{
			"SET synchronous_commit = off",
			"LOCK TABLE " + strings.Join(d.tables, ", ") + "; WITH " + strings.Join(deletes, ", ") + " SELECT",
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}
