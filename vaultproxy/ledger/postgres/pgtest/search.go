package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/user"
	"time"

	"github.com/jackc/pgx/v5"
)

// answerTime is how long a server may take to let somebody in.
const answerTime = time.Minute

// oldest is the first version that can drop a database which is in use, as the
// server itself counts versions.
const oldest = 13_00_00

// search is where to look for the server that tests share.
type search struct {
	configured string   // the server's connection URL; empty for none
	local      string   // host and port where a server may be
	users      []string // whom to try there
	programs   []string // folders that may hold PostgreSQL's programs
}

// found is the server that tests share.
type found struct {
	url *url.URL
	// started is the server if it was started here. Letting go of it would close
	// the pipe that keeps it running.
	started *server
}

// find returns the first server that there is. The error is a *missingError if
// there is nothing to find.
func (s search) find(ctx context.Context) (*found, error) {
	if s.configured != "" {
		u, err := parse(s.configured)
		if err != nil {
			return nil, err
		}
		if err := serves(ctx, u); err != nil {
			return nil, fmt.Errorf("the server that %s names is no use: %w", URLVariable, err)
		}
		return &found{url: u}, nil
	}
	for _, name := range s.users {
		u := serverURL(name, s.local)
		if serves(ctx, u) == nil {
			return &found{url: u}, nil
		}
	}
	programs, ok := findPrograms(s.programs)
	if !ok {
		return nil, &missingError{"run `apt-get install postgresql` (Debian), or name a server in " + URLVariable}
	}
	started, err := newServer(ctx, programs, nil)
	if err != nil {
		return nil, err
	}
	return &found{url: started.url(), started: started}, nil
}

// parse reads what was configured. An error does not repeat it: it may hold a
// password.
func parse(configured string) (*url.URL, error) {
	u, err := url.Parse(configured)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New(URLVariable + " is not a URL like postgres://user@host:5432/postgres")
	}
	return u, nil
}

func localUsers() []string {
	users := []string{"postgres"}
	if current, err := user.Current(); err == nil && current.Username != "postgres" {
		users = append(users, current.Username)
	}
	return users
}

// serverURL leads to the database that every server has, over loopback.
func serverURL(name, address string) *url.URL {
	return &url.URL{
		Scheme: "postgres", User: url.User(name), Host: address, Path: "/postgres", RawQuery: "sslmode=disable",
	}
}

// serves returns nil if databases can be made on the server, and else why not.
func serves(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return err
	}
	var version int
	var allowed bool
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, rolsuper OR rolcreatedb
		FROM pg_roles WHERE rolname = current_user`).Scan(&version, &allowed)
	switch {
	case err != nil:
	case version < oldest:
		err = fmt.Errorf("it is of version %d, and tests need %d", version/1_00_00, oldest/1_00_00)
	case !allowed:
		err = errors.New("its user may not create databases")
	}
	return errors.Join(err, conn.Close(ctx))
}
