package resend_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

func TestMeter_PricesEachRecipientOfEachItem(t *testing.T) {
	t.Parallel()
	fifty := `[` + strings.TrimSuffix(strings.Repeat(`"a@example.org",`, 50), ",") + `]`
	for name, test := range map[string]struct {
		path, body string
		recipients money.USD
	}{
		"one recipient":            {"/emails", with(t, `{}`), 1},
		"a list of one":            {"/emails", with(t, `{"to":["a@example.org"]}`), 1},
		"to, cc and bcc":           {"/emails", with(t, `{"to":["a@example.org","b@example.org"],"cc":"c@example.org","bcc":["d@example.org","e@example.org","f@example.org"]}`), 6},
		"the same one three times": {"/emails", with(t, `{"to":"a@example.org","cc":"a@example.org","bcc":"a@example.org"}`), 3},
		"answers go to nobody yet": {"/emails", with(t, `{"reply_to":["a@example.org","b@example.org"]}`), 1},
		"the most of all":          {"/emails", with(t, `{"to":`+fifty+`,"cc":`+fifty+`,"bcc":`+fifty+`}`), 150},
		"a batch of one":           {"/emails/batch", "[" + with(t, `{}`) + "]", 1},
		"a batch, item by item":    {"/emails/batch", "[" + with(t, `{}`) + "," + with(t, `{"cc":["b@example.org","c@example.org"]}`) + "]", 4},
		"the largest batch":        {"/emails/batch", "[" + strings.TrimSuffix(strings.Repeat(with(t, `{"to":`+fifty+`}`)+",", 100), ",") + "]", 5000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := meter(t, test.path, test.body)
			require.NoError(t, err)
			require.Equal(t, test.recipients*price, q.Price)
			require.Equal(t, test.path, q.Template)
			require.Empty(t, q.Target)
		})
	}
	q, err := newProfile(t).Meter(t.Context(), vendors.Request{Method: "GET", Path: "/emails/49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}, nil)
	require.NoError(t, err)
	require.Zero(t, q.Price)
	require.Equal(t, "/emails/{id}", q.Template)
}

func TestMeter_SendsFromListedDomainsOnly(t *testing.T) {
	t.Parallel()
	for from, allowed := range map[string]bool{
		"a@example.com":                         true,
		"a@EXAMPLE.com":                         true,
		"Acme <a@example.com>":                  true,
		"a@mail.example.com":                    true,
		"a+b@example.com":                       true,
		"a@sub.example.com":                     false,
		"a@example.com.evil.org":                false,
		"a@notexample.com":                      false,
		"a@example.co":                          false,
		"a@exarnple.com":                        false,
		"a@xn--exmple-cua.com":                  false,
		"example.com <a@evil.org>":              false,
		`"billing at example.com" <a@evil.org>`: false,
	} {
		body := with(t, `{"from":`+quote(from)+`}`)
		q, err := meter(t, "/emails", body)
		_, batchErr := meter(t, "/emails/batch", "["+with(t, `{}`)+","+body+"]")
		if allowed {
			require.NoError(t, err, from)
			require.NoError(t, batchErr, from)
			require.Equal(t, price, q.Price)
			continue
		}
		requireRefusal(t, err, vendors.ScopeDenied, "from")
		requireRefusal(t, batchErr, vendors.ScopeDenied, "[1].from")
	}
}

func TestParse_RefusesAddressesWithTwoReadings(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":                           ``,
		"no domain":                         `a`,
		"an empty domain":                   `a@`,
		"a domain without a dot":            `a@localhost`,
		"a trailing dot":                    `a@example.com.`,
		"two dots":                          `a@example..com`,
		"a literal":                         `a@[127.0.0.1]`,
		"an at sign in the local part":      `a@evil.org@example.com`,
		"a quoted local part":               `"a b"@example.com`,
		"a quoted at sign":                  `"a@evil.org"@example.com`,
		"a comment after it":                `a@example.com (b@evil.org)`,
		"a comment inside":                  `a(b)@example.com`,
		"a comment for a name":              `(x) <a@example.com>`,
		"spaces inside":                     `a @ example.com`,
		"spaces inside the brackets":        `A < a@example.com >`,
		"two addresses":                     `a@evil.org,a@example.com`,
		"two addresses by semicolon":        `a@evil.org;a@example.com`,
		"two bracketed addresses":           `<a@evil.org> <a@example.com>`,
		"a group":                           `x: a@example.com;`,
		"an address in the name":            `"a@evil.org" <a@example.com>`,
		"brackets in the name":              `"<a@evil.org>" <a@example.com>`,
		"a comma in the name":               `"Acme, Inc." <a@example.com>`,
		"an encoded address in the name":    `=?utf-8?q?a=40evil.org?= <a@example.com>`,
		"an encoded line break in the name": `=?utf-8?q?a=0D=0Ab?= <a@example.com>`,
		"a line break":                      "a@example.com\r\nBcc: b@evil.org",
		"a folded line":                     "Acme\r\n <a@example.com>",
		"a tab":                             "a@example.com\t",
		"a domain in Unicode":               `a@exämple.com`,
		"a look-alike letter":               "a@ex\u0430mple.com",
		"a full-width domain":               "a@\uff45xample.com",
		"a full-width dot":                  "a@example\u3002com",
		"a Kelvin sign":                     "a@\u212aexample.com",
		"a soft hyphen":                     "a@exam\u00adple.com",
		"a zero-width space":                "a@example.com\u200b",
		"a direction mark in the name":      "A\u202eB <a@example.com>",
		"a local part in Unicode":           `ä@example.com`,
		"a dot at the start":                `.a@example.com`,
		"a hyphen at the domain's start":    `a@-example.com`,
		"an underscore in the domain":       `a@ex_ample.com`,
		"a percent hack":                    `a%evil.org@example.com, b@example.com`,
		"a route":                           `<@evil.org:a@example.com>`,
		"far too long":                      strings.Repeat("a", 65) + `@example.com`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, field := range []string{"from", "to", "cc", "bcc", "reply_to"} {
				_, err := newProfile(t).Parse(raw("/emails", with(t, `{"`+field+`":`+quote(text)+`}`)))
				requireRefusal(t, err, vendors.Ambiguous, field)
			}
		})
	}
}
