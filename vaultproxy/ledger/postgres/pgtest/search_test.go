package pgtest

import (
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSearch_TakesTheServerThatIsNamed(t *testing.T) {
	t.Parallel()
	named := Private(t).URL()
	found, err := search{configured: named}.find(t.Context())
	require.NoError(t, err)
	require.Equal(t, named, found.url.String())
}

func TestSearch_LooksNoFurtherIfTheNamedServerIsNoUse(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	down := Private(t)
	nobody := down.URL()
	down.Stop(t)
	running := Private(t)
	require.NoError(t, execute(running.server.url(), "CREATE ROLE guest LOGIN"))
	guest := *running.server.url()
	guest.User = url.User("guest")
	for name, test := range map[string]struct{ configured, want string }{
		"it is down":                          {nobody, "refused"},
		"its user may not create databases":   {guest.String(), "may not create databases"},
		"it is named by something but a URL":  {"host=127.0.0.1 password=hunter2", "is not a URL like"},
		"its URL cannot be read":              {"postgres://u:hunter2@[::1", "is not a URL like"},
		"its URL is of something else's kind": {"mysql://u:hunter2@127.0.0.1", "is not a URL like"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := search{
				configured: test.configured,
				local:      running.server.url().Host, users: []string{"postgres"}, programs: programFolders(),
			}.find(t.Context())
			require.ErrorContains(t, err, URLVariable)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "hunter2")
			var missing *missingError
			require.NotErrorAs(t, err, &missing, "the test would skip")
		})
	}
}

func TestSearch_TakesTheLocalServerAsWhoeverMayCreateDatabases(t *testing.T) {
	t.Parallel()
	s := Private(t)
	require.NoError(t, execute(s.server.url(), "CREATE ROLE guest LOGIN"))
	require.NoError(t, execute(s.server.url(), "CREATE ROLE maker LOGIN CREATEDB"))
	found, err := search{
		local: s.server.url().Host, users: []string{"stranger", "guest", "maker"},
	}.find(t.Context())
	require.NoError(t, err)
	require.Equal(t, "maker", found.url.User.Username())
	require.Nil(t, found.started)
}

func TestSearch_StartsAServerIfNoneLetsAnybodyIn(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	port, err := freePort()
	require.NoError(t, err)
	closed := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
	found, err := search{
		local: closed, users: []string{"postgres"}, programs: append([]string{t.TempDir()}, programFolders()...),
	}.find(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, found.started.close()) })
	require.NotEqual(t, closed, found.url.Host)
	require.NoError(t, serves(t.Context(), found.url))
}

func TestSearch_SaysInOneLineHowToGetAServer(t *testing.T) {
	t.Parallel()
	_, err := search{programs: []string{t.TempDir()}}.find(t.Context())
	require.ErrorContains(t, err, "apt-get install postgresql")
	require.ErrorContains(t, err, URLVariable)
	require.Equal(t, 0, strings.Count(err.Error(), "\n"))
	for name, test := range map[string]struct {
		required bool
		want     string
	}{
		"and the test skips":                           {false, "skipped"},
		"and the test fails if everything is required": {true, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorded := &recorder{TB: t}
			require.PanicsWithValue(t, test.want, func() { giveUp(recorded, err, test.required) })
		})
	}
}

// recorder is a test that tells how it ended by panicking.
type recorder struct{ testing.TB }

func (*recorder) Helper()      {}
func (*recorder) Skip(...any)  { panic("skipped") }
func (*recorder) Fatal(...any) { panic("failed") }

func TestDatabaseName_IsAnIdentifierThatTellsTheTest(t *testing.T) {
	t.Parallel()
	const salt = "ABCDEFGHIJKLMNOP"
	for name, test := range map[string]struct{ test, want string }{
		"a plain name":    {"TestStore_Keeps", "tollgate_test_teststore_keeps_abcdefghijkl"},
		"a subtest":       {`TestStore/"it's" a – b`, "tollgate_test_teststore_it_s_a_b_abcdefghijkl"},
		"a very long one": {strings.Repeat("Long", 40), "tollgate_test_" + strings.Repeat("long", 9) + "_abcdefghijkl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := databaseName(test.test, salt)
			require.Equal(t, test.want, got)
			require.LessOrEqual(t, len(got), 63)
		})
	}
}
