package stripe_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

// lenientPair is a parameter as a reader takes it that makes the best of
// everything: the outermost name without its brackets, and the value.
type lenientPair struct{ root, value string }

// readLeniently reads a form as the most tolerant frameworks do together: it
// takes semicolons for ampersands, leaves broken escapes as they are, drops what
// stands around a name or behind a NUL, takes dots and spaces for underscores,
// look-alikes for what they look like, and any case for any other.
func readLeniently(form string) []lenientPair {
	var out []lenientPair
	for _, pair := range strings.FieldsFunc(form, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		name, _, _ = strings.Cut(name, "\x00")
		name = strings.ToLower(norm.NFKC.String(strings.TrimSpace(name)))
		root := name
		if at := strings.IndexAny(name, "[]"); at > 0 {
			root = name[:at]
		}
		root = strings.NewReplacer(".", "_", " ", "_", "-", "_").Replace(strings.Trim(root, "[] "))
		out = append(out, lenientPair{root, norm.NFKC.String(value)})
	}
	return out
}

func unescape(text string) string {
	if out, err := url.QueryUnescape(text); err == nil {
		return out
	}
	return text
}

// requireNoOtherReading holds a form to one value of a parameter, and to names
// that are there once, however leniently they are read.
func requireNoOtherReading(t *testing.T, form, name, value string) {
	t.Helper()
	var found []string
	for _, pair := range readLeniently(form) {
		if pair.root == name {
			found = append(found, pair.value)
		}
	}
	require.Equal(t, []string{value}, found, form)
}
