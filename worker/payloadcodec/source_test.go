package payloadcodec_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

type mapEnv map[string]string

func (e mapEnv) Environ() []string { return nil }

func (e mapEnv) LookupEnv(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

const (
	here  = "127.0.0.1:7233"
	there = "temporal.internal:7233"
)

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "codec.key")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestParseKeys_ReadsLinesAndCommasAndPassesCommentsOver(t *testing.T) {
	t.Parallel()
	ring, err := payloadcodec.ParseKeys("# newest first\r\n" + newLine + "\r\n\n  " + oldLine + " \n")
	require.NoError(t, err)
	require.Equal(t, []string{"2026-11", "2026-05"}, ring.IDs())
	ring, err = payloadcodec.ParseKeys(newLine + ", " + oldLine)
	require.NoError(t, err)
	require.Equal(t, []string{"2026-11", "2026-05"}, ring.IDs())
}

func TestParseKeys_NamesTheLineAndNeverItsContent(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("d4", payloadcodec.KeySize)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"", "there is no key in it; write one as an ID, a colon and 64 hexadecimal digits"},
		"comments alone":     {"# k: " + digits, "there is no key in it; write one as an ID, a colon and 64 hexadecimal digits"},
		"no ID":              {digits, "line 1: it must be an ID, a colon and 64 hexadecimal digits"},
		"an empty ID":        {": " + digits, "line 1: the key's ID must be 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'"},
		"an ID with a space": {"k 1: " + digits, "line 1: the key's ID must be 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'"},
		"turned round":       {digits + ": k", "line 1: the key's ID must be 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'"},
		"too short":          {newLine + "\nk: " + digits[2:], "line 2: key k must have 64 hexadecimal digits, as 'openssl rand -hex 32' writes them"},
		"too long":           {"k: " + digits + "d4", "line 1: key k must have 64 hexadecimal digits, as 'openssl rand -hex 32' writes them"},
		"no hexadecimal":     {"k: " + strings.Repeat("zz", 32), "line 1: key k must have 64 hexadecimal digits, as 'openssl rand -hex 32' writes them"},
		"the same ID twice":  {newLine + "\n\n" + newLine, "line 3: key 2026-11 is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := payloadcodec.ParseKeys(test.text)
			require.EqualError(t, err, test.want)
			require.NotContains(t, err.Error(), digits)
		})
	}
}

func TestKeys_ComeFromTheFirstPlaceThatIsNamed(t *testing.T) {
	t.Parallel()
	byFlag, byVariable := file(t, newLine), file(t, oldLine)
	value := "value: " + strings.Repeat("e5", payloadcodec.KeySize)
	for name, test := range map[string]struct {
		source payloadcodec.Source
		env    mapEnv
		want   string
	}{
		"the flag before all":           {payloadcodec.Source{File: byFlag}, mapEnv{"TOLLGATE_CODEC_KEY_FILE": byVariable, "TOLLGATE_CODEC_KEY": value}, "2026-11"},
		"the variable of the file next": {payloadcodec.Source{}, mapEnv{"TOLLGATE_CODEC_KEY_FILE": byVariable, "TOLLGATE_CODEC_KEY": value}, "2026-05"},
		"the variable of the key last":  {payloadcodec.Source{}, mapEnv{"TOLLGATE_CODEC_KEY": value}, "value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ring, err := test.source.Keys(test.env, there)
			require.NoError(t, err)
			require.Equal(t, []string{test.want}, ring.IDs())
		})
	}
}

func TestKeys_AreMadeOnceForATemporalOnThisMachine(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	worker := payloadcodec.Source{StateDir: state, Make: true}
	rings := make([]string, 8)
	var all sync.WaitGroup
	for i := range rings {
		all.Go(func() {
			if ring, err := worker.Keys(mapEnv{}, here); err == nil {
				rings[i] = ring.String()
			}
		})
	}
	all.Wait()
	require.Regexp(t, `^keys local-[0-9a-f]{8}$`, rings[0])
	for _, ring := range rings {
		require.Equal(t, rings[0], ring)
	}
	path := filepath.Join(state, payloadcodec.FileName)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	info, err = os.Stat(state)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	starter, err := payloadcodec.Source{StateDir: state}.Keys(mapEnv{}, here)
	require.NoError(t, err)
	require.Equal(t, rings[0], starter.String())
}

func TestKeys_AreNotMadeByAStarter(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "elsewhere")
	_, err := payloadcodec.Source{StateDir: state}.Keys(mapEnv{}, here)
	require.EqualError(t, err, "there is no "+filepath.Join(state, "codec.key")+", the key that payloads are encrypted with: "+
		"start a worker first, which makes it, and name its folder by --state-dir, or the file by --codec-key-file")
	require.NoDirExists(t, state)
}

func TestKeys_HaveNoDefaultForATemporalElsewhere(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	_, err := payloadcodec.Source{StateDir: state, Make: true}.Keys(mapEnv{}, here)
	require.NoError(t, err, "there is a generated key")
	_, err = payloadcodec.Source{StateDir: state, Make: true}.Keys(mapEnv{}, there)
	require.ErrorContains(t, err, "the Temporal server at "+there+" is not on this machine, so payloads must be encrypted with a key of your own: ")
	require.ErrorContains(t, err, "--codec-key-file or TOLLGATE_CODEC_KEY_FILE")
}

func TestKeys_SayWhichFileCannotBeUsed(t *testing.T) {
	t.Parallel()
	damaged := file(t, "k: 1234\n")
	_, err := payloadcodec.Source{File: damaged}.Keys(mapEnv{}, here)
	require.EqualError(t, err, "the codec's key file "+damaged+" cannot be used: line 1: key k must have 64 hexadecimal digits, as 'openssl rand -hex 32' writes them")
	_, err = payloadcodec.Source{File: "/no/such/codec.key", StateDir: t.TempDir(), Make: true}.Keys(mapEnv{}, here)
	require.ErrorContains(t, err, "/no/such/codec.key", "a file that was named is never made up")
	_, err = payloadcodec.Source{File: t.TempDir()}.Keys(mapEnv{}, here)
	require.ErrorContains(t, err, "holds no keys")
	_, err = payloadcodec.Source{}.Keys(mapEnv{"TOLLGATE_CODEC_KEY": "k: 1234"}, here)
	require.EqualError(t, err, "the codec's keys in TOLLGATE_CODEC_KEY cannot be used: line 1: key k must have 64 hexadecimal digits, as 'openssl rand -hex 32' writes them")
}

func TestIsLoopback_BelievesNoName(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:7233": true, "127.8.9.10:7233": true, "[::1]:7233": true, "localhost:7233": true, "LOCALHOST:7233": true,
		"dns:///localhost:7233": true, "passthrough:///127.0.0.1:7233": true, "[::ffff:127.0.0.1]:7233": true,
		"0.0.0.0:7233": false, "10.0.0.1:7233": false, "temporal:7233": false, "localhost.example.com:7233": false,
		"127.0.0.1.nip.io:7233": false, "localhost": false, "": false, "unix:///tmp/temporal.sock": false,
	} {
		require.Equal(t, want, payloadcodec.IsLoopback(address), address)
	}
}
