package serve_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHostile_PathsWithTwoReadingsAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	cases := map[string]hostileCase{}
	for name, tc := range map[string]struct{ target, code string }{
		"a dot segment":                     {"/stripe/v1/./payment_intents", "request_ambiguous"},
		"two dots":                          {"/stripe/v1/refunds/../payment_intents", "request_ambiguous"},
		"two dots out of the vendor":        {"/vault/../stripe/v1/payment_intents", "not_found"},
		"two dots at the end":               {"/stripe/v1/payment_intents/..", "request_ambiguous"},
		"an encoded dot segment":            {"/stripe/v1/refunds/%2e%2e/payment_intents", "request_ambiguous"},
		"a half encoded dot segment":        {"/stripe/v1/refunds/.%2E/payment_intents", "request_ambiguous"},
		"an encoded slash":                  {"/stripe/v1%2Fpayment_intents", "request_ambiguous"},
		"an encoded slash in small letters": {"/stripe/v1/payment_intents%2fpi_1", "request_ambiguous"},
		"double encoding":                   {"/stripe/v1/payment_intents%252Fpi_1", "request_ambiguous"},
		"a double encoded dot segment":      {"/stripe/v1/x/%252e%252e/payment_intents", "request_ambiguous"},
		"an encoded letter":                 {"/stripe/v1/payment%5Fintents", "request_ambiguous"},
		"an overlong encoding":              {"/stripe/v1/x/%c0%ae%c0%ae/payment_intents", "request_ambiguous"},
		"a slash before it":                 {"//stripe/v1/payment_intents", "request_ambiguous"},
		"a slash twice":                     {"/stripe//v1/payment_intents", "request_ambiguous"},
		"a slash twice further down":        {"/stripe/v1//payment_intents", "request_ambiguous"},
		"a trailing slash":                  {"/stripe/v1/payment_intents/", "request_ambiguous"},
		"path parameters":                   {"/stripe/v1/payment_intents;v=1", "request_ambiguous"},
		"path parameters that hide dots":    {"/stripe/v1/..;/payment_intents", "request_ambiguous"},
		"an encoded semicolon":              {"/stripe/v1/payment_intents%3Bv=1", "request_ambiguous"},
		"a backslash":                       {`/stripe\v1\payment_intents`, "request_ambiguous"},
		"a backslash and dots":              {`/stripe/v1/x\..\payment_intents`, "request_ambiguous"},
		"an encoded backslash":              {"/stripe/v1/x%5C..%5Cpayment_intents", "request_ambiguous"},
		"an encoded NUL":                    {"/stripe/v1/payment_intents%00", "request_ambiguous"},
		"a NUL":                             {"/stripe/v1/payment_intents\x00", byNetHTTP},
		"an encoded line end":               {"/stripe/v1/payment_intents%0d%0aX:%20y", "request_ambiguous"},
		"a tab":                             {"/stripe/v1/payment_intents\t", byNetHTTP},
		"a broken escape":                   {"/stripe/v1/payment_intents%", byNetHTTP},
		"a full-width slash":                {"/stripe/v1\uff0fpayment_intents", "request_ambiguous"},
		"a look-alike letter":               {"/stripe/v1/p\u0430yment_intents", "request_ambiguous"},
		"the vendor in capitals":            {"/Stripe/v1/payment_intents", "vendor_unknown"},
		"the version in capitals":           {"/stripe/V1/payment_intents", "unmetered_operation"},
		"the resource in capitals":          {"/stripe/v1/Payment_Intents", "unmetered_operation"},
		"a format behind it":                {"/stripe/v1/payment_intents.json", "unmetered_operation"},
		"another version":                   {"/stripe/v2/payment_intents", "unmetered_operation"},
		"no vendor":                         {"/v1/payment_intents", "vendor_unknown"},
		"the absolute form":                 {"http://127.0.0.1/stripe/v1/payment_intents", "request_ambiguous"},
		"the absolute form of the vendor":   {"http://api.stripe.com/v1/payment_intents", "request_ambiguous"},
		"the absolute form in capitals":     {"HTTP://API.STRIPE.COM/stripe/v1/payment_intents", "request_ambiguous"},
		"an asterisk":                       {"*", "request_ambiguous"},
		"an authority":                      {"api.stripe.com:443", "request_ambiguous"},
		"no slash":                          {"stripe/v1/payment_intents", byNetHTTP},
		"a fragment":                        {"/stripe/v1/payment_intents#x", "request_ambiguous"},
		"a fragment behind a query":         {"/stripe/v1/payment_intents?#x", "request_ambiguous"},
		"an encoded fragment":               {"/stripe/v1/payment_intents%23x", "request_ambiguous"},
		"an encoded query":                  {"/stripe/v1/payment_intents%3Famount=1", "request_ambiguous"},
		"two question marks":                {"/stripe/v1/payment_intents??", "request_ambiguous"},
		"a user before the host":            {"//a@b/stripe/v1/payment_intents", "request_ambiguous"},
		"a segment that never ends":         {"/stripe/v1/payment_intents/" + string(make256()), "request_ambiguous"},
	} {
		cases[name] = hostileCase{write("POST "+tc.target+" HTTP/1.1", plainBody), tc.code}
	}
	// The control plane has no Tollgate-Denied: its refusal is looked at below.
	out := cases["two dots out of the vendor"]
	delete(cases, "two dots out of the vendor")
	got := h.send(out.raw)
	require.Equal(t, http.StatusNotFound, got.status, got.body)
	require.Contains(t, got.body, out.code)
	h.refusesAll(cases)
}

func make256() []byte {
	out := make([]byte, 256)
	for i := range out {
		out[i] = 'x'
	}
	return out
}

func TestHostile_ObjectsThatAreSpeltInAnotherWayAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t, "POST /v1/payment_intents", "POST /v1/payment_intents/{id}/cancel", "GET /v1/payment_intents/{id}")
	cases := map[string]hostileCase{}
	for name, tc := range map[string]struct{ line, code string }{
		"a format behind the ID":     {"POST /stripe/v1/payment_intents/pi_1.json/cancel HTTP/1.1", "unmetered_operation"},
		"a format behind the action": {"POST /stripe/v1/payment_intents/pi_1/cancel.json HTTP/1.1", "unmetered_operation"},
		"a path in the ID":           {"POST /stripe/v1/payment_intents/pi_1%2Fconfirm%2F/cancel HTTP/1.1", "request_ambiguous"},
		"the prefix in capitals":     {"POST /stripe/v1/payment_intents/PI_1/cancel HTTP/1.1", "unmetered_operation"},
		"an object of another kind":  {"POST /stripe/v1/payment_intents/ch_1/cancel HTTP/1.1", "unmetered_operation"},
		"an unlisted action":         {"POST /stripe/v1/payment_intents/pi_1/confirm HTTP/1.1", "endpoint_not_allowed"},
	} {
		cases[name] = hostileCase{write(tc.line, ""), tc.code}
	}
	cases["a collection in place of an ID"] = hostileCase{
		write("GET /stripe/v1/payment_intents/search?query=amount%3E1 HTTP/1.1", ""), "endpoint_not_allowed",
	}
	cases["the list in place of an object"] = hostileCase{write("GET /stripe/v1/payment_intents HTTP/1.1", ""), "endpoint_not_allowed"}
	h.refusesAll(cases)
}

func TestHostile_MethodsThatAreNotUnderstoodAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t, "POST /v1/payment_intents", "GET /v1/payment_intents", "DELETE /v1/payment_intents")
	cases := map[string]hostileCase{}
	for _, method := range []string{
		"HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "PROPFIND", "QUERY", "post", "Post", "P0ST", "get", "LINK", "PURGE",
	} {
		cases[method] = hostileCase{write(method+" /stripe/v1/payment_intents HTTP/1.1", plainBody), "request_ambiguous"}
	}
	cases["DELETE of what is not metered"] = hostileCase{write("DELETE /stripe/v1/payment_intents HTTP/1.1", ""), "unmetered_operation"}
	cases["OPTIONS of everything"] = hostileCase{write("OPTIONS * HTTP/1.1", ""), "request_ambiguous"}
	cases["CONNECT"] = hostileCase{write("CONNECT api.stripe.com:443 HTTP/1.1", ""), "request_ambiguous"}
	cases["CONNECT to a path"] = hostileCase{write("CONNECT /stripe/v1/payment_intents HTTP/1.1", ""), "request_ambiguous"}
	cases["a method with a character that none has"] = hostileCase{write("PO(ST /stripe/v1/payment_intents HTTP/1.1", ""), byNetHTTP}
	for _, name := range []string{
		"X-HTTP-Method-Override", "x-http-method-override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "X_HTTP_Method_Override",
		"X-Original-URL", "X-Rewrite-URL", "X-Original-URI",
	} {
		cases["the header "+name] = hostileCase{create(plainBody, name+": DELETE"), "request_ambiguous"}
		cases["the header "+name+" without a value"] = hostileCase{create(plainBody, name+":"), "request_ambiguous"}
		cases["the header "+name+" on a read"] = hostileCase{
			write("GET /stripe/v1/payment_intents HTTP/1.1", "", name+": POST"), "request_ambiguous",
		}
	}
	for _, query := range []string{"_method=POST", "_METHOD=POST", "%5Fmethod=POST", "limit=1&_method=POST", "_method"} {
		cases["the query "+query+" on a read"] = hostileCase{
			write("GET /stripe/v1/payment_intents?"+query+" HTTP/1.1", ""), "request_ambiguous",
		}
		cases["the query "+query+" on a write"] = hostileCase{
			write("POST /stripe/v1/payment_intents?"+query+" HTTP/1.1", plainBody), "request_ambiguous",
		}
	}
	cases["_method in the body"] = hostileCase{create(plainBody + "&_method=DELETE"), "request_ambiguous"}
	cases["a read with a body"] = hostileCase{write("GET /stripe/v1/payment_intents HTTP/1.1", plainBody), "request_ambiguous"}
	h.refusesAll(cases)
}
