package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	common "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

func TestCodecServer_DecodesForWhoeverHasItsToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	out := newLineWriter()
	b.program.stdout = out
	state := filepath.Join(b.dir, "state")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() {
		code <- b.run(ctx, []string{"codec-server", "--addr", "127.0.0.1:0", "--state-dir", state})
	}()
	out.await(t, "codec server on http://127.0.0.1:")
	said := regexp.MustCompile(`^codec server on (\S+) for pages of http://localhost:8233, token in (\S+)\n$`).FindStringSubmatch(out.String())
	require.Len(t, said, 3, out.String())
	require.Equal(t, filepath.Join(state, "codec-server.token"), said[2])
	info, err := os.Stat(said[2])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	token, err := os.ReadFile(said[2])
	require.NoError(t, err)
	require.NotContains(t, out.String(), strings.TrimSpace(string(token)))

	keys, err := payloadcodec.ParseKeys(codecKey)
	require.NoError(t, err)
	sealed, err := keys.DataConverter().ToPayload("cus_secret")
	require.NoError(t, err)
	decode := func(endpoint string) ([]*common.Payload, error) {
		return converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{Endpoint: endpoint}).Decode([]*common.Payload{sealed})
	}
	opened, err := decode(said[1] + "/" + strings.TrimSpace(string(token)))
	require.NoError(t, err)
	require.JSONEq(t, `"cus_secret"`, string(opened[0].GetData()))
	_, err = decode(said[1])
	require.ErrorContains(t, err, "Unauthorized")

	stop()
	require.Equal(t, exitOK, <-code, b.stderr.String())
}

func TestCodecServer_RefusesToServeTheWorldOrAnybodysPages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"every interface": {[]string{"--addr", "0.0.0.0:8081"}, "--addr 0.0.0.0:8081 can be reached from other machines, in plain HTTP: listen on 127.0.0.1, or add --allow-remote if something before it ends TLS"},
		"no host":         {[]string{"--addr", ":8081"}, "--addr :8081 can be reached from other machines, in plain HTTP: listen on 127.0.0.1, or add --allow-remote if something before it ends TLS"},
		"no port":         {[]string{"--addr", "127.0.0.1"}, `--addr is "127.0.0.1": it must be an address and a port, such as 127.0.0.1:8081`},
		"any page":        {[]string{"--ui-origin", "*"}, `--ui-origin is "*": it must be scheme, host and port alone, such as http://localhost:8233`},
		"a page's path":   {[]string{"--ui-origin", "http://localhost:8233/"}, `--ui-origin is "http://localhost:8233/": it must be scheme, host and port alone, such as http://localhost:8233`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			require.Equal(t, exitUsage, b.run(t.Context(), append([]string{"codec-server"}, test.args...)))
			require.Equal(t, "starter: "+test.want, b.errorLine(t))
		})
	}
}

func TestCodecServer_TakesNoTokenThatCouldBeGuessed(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "short", "has a space in it somewhere", "slash/slash/slash/slash"} {
		b := setup(t)
		path := b.file(t, "token", token+"\n")
		require.Equal(t, exitError, b.run(t.Context(), []string{"codec-server", "--addr", "127.0.0.1:0", "--token-file", path}))
		require.Equal(t, "starter: the codec server's token in "+path+" cannot be used: it must be 16 to 256 letters, digits, '_' or '-'; delete the file to have one made", b.errorLine(t))
	}
}

func TestRun_TellsThatThereIsNoKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	delete(b.env, payloadcodec.KeyVariable)
	run := []string{"run", "--plan", "pro", "--period", "2026-11", "--generate", "3", "--budget-usd", "5", "--state-dir", filepath.Join(b.dir, "state")}
	require.Equal(t, exitError, b.run(t.Context(), run))
	require.Contains(t, b.errorLine(t), "codec.key, the key that payloads are encrypted with: start a worker first, which makes it")

	b.stderr.Reset()
	b.env["TEMPORAL_ADDRESS"] = "temporal.internal:7233"
	require.Equal(t, exitError, b.run(t.Context(), run))
	require.Contains(t, b.errorLine(t), "the Temporal server at temporal.internal:7233 is not on this machine")
}
