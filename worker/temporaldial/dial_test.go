package temporaldial

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

type mapEnv map[string]string

func (e mapEnv) Environ() []string { return nil }

func (e mapEnv) LookupEnv(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// withConfig is an environment with a configuration file of this content.
func withConfig(t *testing.T, content string) mapEnv {
	t.Helper()
	path := filepath.Join(t.TempDir(), "temporal.toml")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return mapEnv{"TEMPORAL_CONFIG_FILE": path}
}

func TestOptions_AreTheDevServersUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	opts, err := Plain(Config{Env: withConfig(t, "")})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:7233", opts.HostPort)
	require.Equal(t, "default", opts.Namespace)
	require.NotNil(t, opts.Logger, "without one the SDK writes to standard output")
}

func TestOptions_TakeTheEnvironmentOverTheFile(t *testing.T) {
	t.Parallel()
	env := withConfig(t, "[profile.default]\naddress = \"file:7233\"\nnamespace = \"file\"\n")
	env["TEMPORAL_ADDRESS"] = "env:7233"
	opts, err := Plain(Config{Env: env})
	require.NoError(t, err)
	require.Equal(t, "env:7233", opts.HostPort)
	require.Equal(t, "file", opts.Namespace)
}

func TestOptions_NameTheSettingThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	env := withConfig(t, "")
	env["TEMPORAL_TLS_CLIENT_CERT_PATH"] = "/absent.pem"
	env["TEMPORAL_TLS_CLIENT_KEY_PATH"] = "/absent.key"
	_, err := Plain(Config{Env: env})
	require.ErrorContains(t, err, "/absent.pem")
	require.ErrorContains(t, err, "TEMPORAL_ environment variables")
}

func TestDial_SaysWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	opts, err := Plain(Config{Env: withConfig(t, "")})
	require.NoError(t, err)
	opts.HostPort = "127.0.0.1:1" // a port that no machine uses

	_, err = Dial(t.Context(), opts)
	require.EqualError(t, err, "no Temporal server answers at 127.0.0.1:1 (dial tcp 127.0.0.1:1: connect: connection refused): start one with 'temporal server start-dev', or set TEMPORAL_ADDRESS")
}

func TestDial_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	// It accepts connections and never says a word.
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	opts, err := Plain(Config{Env: withConfig(t, "")})
	require.NoError(t, err)
	opts.HostPort = silent.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	context.AfterFunc(t.Context(), cancel)
	go func() {
		if accepted, err := silent.Accept(); err == nil {
			cancel()
			_ = accepted.Close()
		}
	}()

	_, err = Dial(ctx, opts)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRefusal_SaysWhatToDo(t *testing.T) {
	t.Parallel()
	opts := client.Options{HostPort: "temporal:7233", Namespace: "prod"}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no such namespace": {serviceerror.NewNamespaceNotFound("prod"),
			"the Temporal server at temporal:7233 has no namespace prod: create it with 'temporal operator namespace create -n prod', or set TEMPORAL_NAMESPACE"},
		"no permission": {serviceerror.NewPermissionDenied("no", "because"),
			"the Temporal server at temporal:7233 refuses us in namespace prod: check TEMPORAL_API_KEY and the TEMPORAL_TLS_ variables"},
		"no answer": {context.DeadlineExceeded,
			"start billing-pro-2026-11: Temporal at temporal:7233, namespace prod: no answer within 10s"},
		"anything else": {errors.New("busy"),
			"start billing-pro-2026-11: Temporal at temporal:7233, namespace prod: busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, Refusal(opts, "start billing-pro-2026-11", test.err), test.want)
		})
	}
}

func TestOptions_EncryptWhatIsStoredAndAreNotThereWithoutAKey(t *testing.T) {
	t.Parallel()
	env := withConfig(t, "")
	env["TEMPORAL_ADDRESS"] = "temporal.internal:7233"
	_, err := Options(Config{Env: env})
	require.ErrorContains(t, err, "the Temporal server at temporal.internal:7233 is not on this machine")
	plain, err := Plain(Config{Env: env})
	require.NoError(t, err, "a health check needs no key")
	require.Nil(t, plain.DataConverter)

	env["TOLLGATE_CODEC_KEY"] = "test: " + strings.Repeat("7a", 32)
	opts, err := Options(Config{Env: env})
	require.NoError(t, err)
	sealed, err := opts.DataConverter.ToPayload("secret")
	require.NoError(t, err)
	require.Equal(t, "binary/encrypted", string(sealed.GetMetadata()["encoding"]))
	require.Equal(t, "Encoded failure", opts.FailureConverter.ErrorToFailure(errors.New("secret")).GetMessage())
}
