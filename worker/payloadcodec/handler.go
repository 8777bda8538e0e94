package payloadcodec

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"go.temporal.io/sdk/converter"
)

// maxRequest bounds a request: the UI asks for a page of a history at once, and one
// payload may have 2 MiB.
const maxRequest = 64 << 20

// Handler serves Temporal's remote codec: POST …/encode and …/decode. The token is
// asked for in the Authorization header, or else as the first part of the path:
// Temporal's UI sends a header only where people log in to it. Requests of browsers
// are answered if their page is of one of the origins. Every namespace has the same
// keys, so X-Namespace is taken and changes nothing.
//
// See https://docs.temporal.io/codec-server for the protocol.
func Handler(keys *Keyring, token string, origins []string) http.Handler {
	return &handler{token: sha256.Sum256([]byte(token)), origins: origins, codec: converter.NewPayloadCodecHTTPHandler(keys.Codec())}
}

type handler struct {
	token   [sha256.Size]byte
	origins []string
	codec   http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		if !slices.Contains(h.origins, origin) {
			http.Error(w, "pages of this origin may not ask: name it by --ui-origin", http.StatusForbidden)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Namespace")
			// Browsers ask for it before a page from elsewhere may reach this machine.
			if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
				w.Header().Set("Access-Control-Allow-Private-Network", "true")
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	action, allowed := h.allowed(r)
	switch {
	case !allowed:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "the codec server's token is missing or wrong", http.StatusUnauthorized)
	case action != "/encode" && action != "/decode":
		http.NotFound(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST is asked for", http.StatusMethodNotAllowed)
	default:
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		h.codec.ServeHTTP(w, r)
	}
}

// allowed looks for the token, and returns the path without it. What is compared
// are hashes, so that neither content nor length shows in the time that it takes.
func (h *handler) allowed(r *http.Request) (action string, ok bool) {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && h.is(strings.TrimSpace(given)) {
		return r.URL.Path, true
	}
	first, rest, nested := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return "/" + rest, nested && h.is(first)
}

func (h *handler) is(token string) bool {
	given := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(given[:], h.token[:]) == 1
}
