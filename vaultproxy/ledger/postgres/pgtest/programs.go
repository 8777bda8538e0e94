package pgtest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// programFolders is where PostgreSQL's programs may be: what is on PATH first,
// then where packages put them, which mostly is not on PATH, newest first.
func programFolders() []string {
	folders := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian
		"/usr/local/pgsql/bin",      // built from source
		"/opt/homebrew/opt/postgresql*/bin",
	} {
		matches, _ := filepath.Glob(pattern) // fails on a bad pattern only
		slices.SortFunc(matches, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
		folders = append(folders, matches...)
	}
	return folders
}

var digits = regexp.MustCompile(`[0-9]+`)

// version is the major version that a folder is named for, 0 if it is for none.
func version(folder string) int {
	n, _ := strconv.Atoi(digits.FindString(folder))
	return n
}

// findPrograms returns the first of the folders that has all it takes.
func findPrograms(folders []string) (string, bool) {
	for _, folder := range folders {
		if executable(filepath.Join(folder, "initdb")) && executable(filepath.Join(folder, "postgres")) {
			return folder, true
		}
	}
	return "", false
}

func executable(path string) bool {
	_, err := exec.LookPath(path)
	return err == nil
}

// account is the user that PostgreSQL runs as. It refuses to run as root, so
// root lends it another one; nil is the current user.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}
