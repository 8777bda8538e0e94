package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

// mapEnv is an environment of its own for each test.
type mapEnv map[string]string

func (e mapEnv) Environ() []string {
	var all []string
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

func (e mapEnv) LookupEnv(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// hangs is how long a test waits for what comes, however busy the machine is, unless
// something hangs.
const hangs = 5 * time.Minute

// codecKey is what starter and scripted worker encrypt with.
var codecKey = "test: " + strings.Repeat("7a", payloadcodec.KeySize)

// testBundle is a starter that runs inside the test. Unless a test gives it a
// dial function, reaching for Temporal fails the test.
type testBundle struct {
	*program
	stdout, stderr bytes.Buffer
	env            mapEnv
	dir            string
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	dir := t.TempDir()
	// Without it the SDK reads the configuration file of whoever runs the test.
	noConfig := filepath.Join(dir, "temporal.toml")
	require.NoError(t, os.WriteFile(noConfig, nil, 0o600))
	b := &testBundle{dir: dir, env: mapEnv{"TEMPORAL_CONFIG_FILE": noConfig, payloadcodec.KeyVariable: codecKey}}
	b.program = &program{
		stdout: &b.stdout,
		stderr: &b.stderr,
		env:    b.env,
		dial: func(context.Context, client.Options) (client.Client, error) {
			t.Error("the starter reached for Temporal")
			return nil, context.Canceled
		},
		now:      time.Now,
		poll:     10 * time.Millisecond,
		query:    hangs,
		terminal: func() int { return 0 },
	}
	return b
}

// file writes a file into the test's directory and returns its path.
func (b *testBundle) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// errorLine is what was written to standard error, which must be one line.
func (b *testBundle) errorLine(t *testing.T) string {
	t.Helper()
	text := b.stderr.String()
	require.Equal(t, 1, strings.Count(text, "\n"), "not one line: %q", text)
	return strings.TrimSuffix(text, "\n")
}
