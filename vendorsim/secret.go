package vendorsim

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// ErrLiveKey is returned by New when the configuration holds something that looks like a live
// Stripe key. The error never repeats the key.
var ErrLiveKey = errors.New("vendorsim: a live Stripe key was given to a stand-in; use a key that starts with sk_test_")

// LooksLive reports whether text contains what looks like a live Stripe key, in any case of
// letters. Stripe's live keys start with sk_live_, rk_live_ or pk_live_ (docs.stripe.com/keys).
func LooksLive(text string) bool {
	return aroundUnderscore(text, func(before, after string) bool {
		if !hasPrefixFold(after, "_live_") || len(before) < 2 {
			return false
		}
		kind := strings.ToLower(before[len(before)-2:])
		return kind == "sk" || kind == "rk" || kind == "pk"
	})
}

// looksVault reports whether text contains a vault key, which is good only at the proxy.
func looksVault(text string) bool {
	return aroundUnderscore(text, func(before, after string) bool {
		return hasPrefixFold(after, "_key_") && len(before) >= 5 && strings.EqualFold(before[len(before)-5:], "vault")
	})
}

// aroundUnderscore reports whether match holds at any underscore of text. Every header of every
// request is searched, so it hops instead of folding the text's case first.
func aroundUnderscore(text string, match func(before, after string) bool) bool {
	for from := 0; ; {
		i := strings.IndexByte(text[from:], '_')
		if i < 0 {
			return false
		}
		at := from + i
		if match(text[:at], text[at:]) {
			return true
		}
		from = at + 1
	}
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// shown reports whether any part of a request satisfies suspect: its address, its headers
// (Basic credentials decoded) and its body (decoded too, since a form may hide letters).
func shown(r *http.Request, body string, suspect func(string) bool) bool {
	if suspect(r.URL.RequestURI()) || suspect(r.URL.Path) || suspect(body) {
		return true
	}
	for _, encoded := range []string{body, r.URL.RawQuery} {
		if strings.Contains(encoded, "%") {
			if decoded, err := url.QueryUnescape(encoded); err == nil && suspect(decoded) {
				return true
			}
		}
	}
	for name, values := range r.Header {
		for _, value := range values {
			if suspect(value) {
				return true
			}
			if name == "Authorization" && suspect(basicCredentials(value)) {
				return true
			}
		}
	}
	return false
}

// basicCredentials decodes the user:password of a Basic Authorization header, or returns "".
func basicCredentials(header string) string {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return ""
	}
	return string(decoded)
}

// apiKey returns the key of an Authorization header: a Bearer token or the user of Basic
// credentials, which Stripe takes alike. Empty when there is none.
func apiKey(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	user, _, _ := strings.Cut(basicCredentials(header), ":")
	return user
}

// isTestKey reports whether key has the shape of a key that the stand-in may be shown.
func isTestKey(key string) bool {
	for _, prefix := range []string{"sk_test_", "sk_sim_", "rk_test_"} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			return rest != "" && isWord(rest)
		}
	}
	return false
}

// isWord reports whether text is made of ASCII letters, digits, hyphens and underscores, as ids are.
func isWord(text string) bool {
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return text != ""
}
