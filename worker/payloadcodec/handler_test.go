package payloadcodec_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	common "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

const (
	token = "token_of_the_codec_server"
	ui    = "http://localhost:8233"
)

func codecServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(payloadcodec.Handler(keyring(t, newLine, oldLine), token, []string{ui}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestHandler_SpeaksTemporalsRemoteCodec(t *testing.T) {
	t.Parallel()
	url := codecServer(t)
	for name, options := range map[string]converter.RemotePayloadCodecOptions{
		"with the token in a header": {Endpoint: url, ModifyRequest: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("X-Namespace", "default")
			return nil
		}},
		"with the token in the path": {Endpoint: url + "/" + token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote := converter.NewRemotePayloadCodec(options)
			plain := payload(t, "cus_secret")
			sealed, err := remote.Encode([]*common.Payload{plain})
			require.NoError(t, err)
			require.Equal(t, "binary/encrypted", string(sealed[0].Metadata["encoding"]))
			opened, err := remote.Decode([]*common.Payload{sealed[0], encode(t, keyring(t, oldLine), "of May")})
			require.NoError(t, err)
			require.True(t, proto.Equal(plain, opened[0]))
			require.JSONEq(t, `"of May"`, string(opened[1].Data))
		})
	}
}

func TestHandler_TellsAMissingKey(t *testing.T) {
	t.Parallel()
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{Endpoint: codecServer(t) + "/" + token})
	other := "other: " + strings.Repeat("c3", payloadcodec.KeySize)
	_, err := remote.Decode([]*common.Payload{encode(t, keyring(t, other), "x")})
	require.ErrorContains(t, err, "a payload was encrypted with key other, and ours are 2026-11, 2026-05")
}

func TestHandler_RefusesWhoeverMayNotAsk(t *testing.T) {
	t.Parallel()
	url := codecServer(t)
	bearer := http.Header{"Authorization": {"Bearer " + token}}
	for name, test := range map[string]struct {
		method, path string
		header       http.Header
		want         int
	}{
		"no token":                        {"POST", "/decode", nil, 401},
		"an empty token":                  {"POST", "/decode", http.Header{"Authorization": {"Bearer "}}, 401},
		"a wrong token":                   {"POST", "/decode", http.Header{"Authorization": {"Bearer " + token[1:]}}, 401},
		"another scheme":                  {"POST", "/decode", http.Header{"Authorization": {"Basic " + token}}, 401},
		"a wrong token in the path":       {"POST", "/x" + token + "/decode", nil, 401},
		"the token alone":                 {"POST", "/" + token, nil, 401},
		"a token, and nothing to do":      {"POST", "/" + token + "/", nil, 404},
		"another path":                    {"POST", "/keys", bearer, 404},
		"no POST":                         {"GET", "/decode", bearer, 405},
		"no payloads":                     {"POST", "/decode", bearer, 400},
		"a page of another origin":        {"POST", "/decode", http.Header{"Authorization": {"Bearer " + token}, "Origin": {"http://evil.example"}}, 403},
		"a page that has none to tell":    {"POST", "/decode", http.Header{"Authorization": {"Bearer " + token}, "Origin": {"null"}}, 403},
		"a page of the port beside":       {"POST", "/decode", http.Header{"Authorization": {"Bearer " + token}, "Origin": {"http://localhost:82331"}}, 403},
		"a question of another origin":    {"OPTIONS", "/decode", http.Header{"Origin": {"http://evil.example"}}, 403},
		"the UI's page without the token": {"POST", "/decode", http.Header{"Origin": {ui}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, header := ask(t, test.method, url+test.path, test.header)
			require.Equal(t, test.want, status)
			if test.want == http.StatusForbidden {
				require.Empty(t, header.Get("Access-Control-Allow-Origin"))
			}
		})
	}
}

func TestHandler_AllowsThePagesOfTheUI(t *testing.T) {
	t.Parallel()
	url := codecServer(t)
	status, header := ask(t, http.MethodOptions, url+"/decode", http.Header{
		"Origin": {ui}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type,x-namespace"},
	})
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, ui, header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Authorization, Content-Type, X-Namespace", header.Get("Access-Control-Allow-Headers"))
	require.Equal(t, "Origin", header.Get("Vary"))

	_, header = ask(t, http.MethodPost, url+"/decode", http.Header{"Origin": {ui}, "Authorization": {"Bearer " + token}})
	require.Equal(t, ui, header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "no-store", header.Get("Cache-Control"))
}

func ask(t *testing.T, method, url string, header http.Header) (int, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	require.NoError(t, err)
	maps.Copy(request.Header, header)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode, answer.Header
}
