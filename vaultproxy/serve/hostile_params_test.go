package serve_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHostile_FormsWithTwoReadingsAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t, "POST /v1/payment_intents", "POST /v1/refunds")
	cases := map[string]hostileCase{}
	for name, tc := range map[string]struct{ body, code string }{
		"the amount twice":                        {"amount=1&amount=99999999&currency=usd", "request_ambiguous"},
		"the amount twice, alike":                 {"amount=100&amount=100&currency=usd", "request_ambiguous"},
		"the currency twice":                      {"amount=100&currency=usd&currency=kwd", "request_ambiguous"},
		"the amount twice, once encoded":          {"amount=1&%61mount=99999999&currency=usd", "request_ambiguous"},
		"the amount as a list":                    {"amount[]=100&currency=usd", "request_ambiguous"},
		"the amount as a numbered list":           {"amount[0]=100&currency=usd", "request_ambiguous"},
		"the amount as a value and a list":        {"amount=1&amount[]=99999999&currency=usd", "request_ambiguous"},
		"the amount as a value and a member":      {"amount=1&amount[value]=99999999&currency=usd", "request_ambiguous"},
		"the amount's brackets encoded":           {"amount=1&amount%5B%5D=99999999&currency=usd", "request_ambiguous"},
		"the amount in capitals":                  {"AMOUNT=1&amount=99999999&currency=usd", "request_ambiguous"},
		"the amount with one capital":             {"Amount=100&currency=usd", "request_ambiguous"},
		"the amount with a look-alike letter":     {"\u0430mount=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount in full width":                {"\uff41mount=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a soft hyphen":           {"am\u00adount=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a zero-width space":      {"amount\u200b=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a space before it":       {"+amount=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a space behind it":       {"amount+=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a dot":                   {"amount.=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a NUL":                   {"amount%00=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with an open bracket":         {"amount[=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount with a bracket too many":      {"amount]=1&amount=100&currency=usd", "request_ambiguous"},
		"the amount's value has a NUL":            {"amount=100%00&currency=usd", "request_ambiguous"},
		"a semicolon between":                     {"amount=1;amount=99999999&currency=usd", "request_ambiguous"},
		"a semicolon at the end":                  {"amount=100&currency=usd;", "request_ambiguous"},
		"an HTML ampersand":                       {"amount=100&amp;currency=usd", "request_ambiguous"},
		"an empty pair":                           {"amount=100&&currency=usd", "request_ambiguous"},
		"an ampersand at the end":                 {"amount=100&currency=usd&", "request_ambiguous"},
		"a name without a value":                  {"amount=100&currency=usd&confirm", "request_ambiguous"},
		"a value without a name":                  {"amount=100&currency=usd&=5", "request_ambiguous"},
		"a line end at the end":                   {"amount=100&currency=usd\r\n", "currency_unsupported"},
		"a broken escape":                         {"amount=%3&currency=usd", "request_ambiguous"},
		"an escape of another kind":               {"%u0061mount=1&amount=100&currency=usd", "request_ambiguous"},
		"invalid UTF-8":                           {"amount=100&currency=usd&description=\xff\xfe", "request_ambiguous"},
		"invalid UTF-8, encoded":                  {"amount=100&currency=usd&description=%c0%af", "request_ambiguous"},
		"a byte order mark":                       {"\xef\xbb\xbfamount=100&currency=usd", "request_ambiguous"},
		"UTF-16":                                  {"a\x00m\x00o\x00u\x00n\x00t\x00=\x001\x00", "request_ambiguous"},
		"another encoding":                        {"amount=100&currency=usd&_charset_=utf-16", "request_ambiguous"},
		"nesting without end":                     {"amount=100&currency=usd&shipping" + strings.Repeat("[a]", 9) + "=1", "request_ambiguous"},
		"members of an unnumbered list":           {"amount=100&currency=usd&expand[][a]=1", "request_ambiguous"},
		"a thousand and one parameters":           {"amount=100&currency=usd" + strings.Repeat("&expand[]=a", 999), "request_invalid"},
		"a name without end":                      {"amount=100&currency=usd&" + strings.Repeat("a", 256) + "=1", "request_ambiguous"},
		"an exponent":                             {"amount=1e2&currency=usd", "amount_invalid"},
		"an exponent in capitals":                 {"amount=1E2&currency=usd", "amount_invalid"},
		"a plus":                                  {"amount=%2B100&currency=usd", "amount_invalid"},
		"a plus that is a space":                  {"amount=+100&currency=usd", "amount_invalid"},
		"a space behind":                          {"amount=100+&currency=usd", "amount_invalid"},
		"a leading zero":                          {"amount=0100&currency=usd", "amount_invalid"},
		"zero":                                    {"amount=0&currency=usd", "amount_invalid"},
		"a negative amount":                       {"amount=-100&currency=usd", "amount_invalid"},
		"a minus of another kind":                 {"amount=\u2212100&currency=usd", "amount_invalid"},
		"a fraction":                              {"amount=1.00&currency=usd", "amount_invalid"},
		"a comma":                                 {"amount=1,00&currency=usd", "amount_invalid"},
		"an underscore":                           {"amount=1_00&currency=usd", "amount_invalid"},
		"hexadecimal":                             {"amount=0x64&currency=usd", "amount_invalid"},
		"full-width digits":                       {"amount=\uff11\uff10\uff10&currency=usd", "amount_invalid"},
		"Arabic digits":                           {"amount=\u0661\u0660\u0660&currency=usd", "amount_invalid"},
		"no amount":                               {"amount=&currency=usd", "amount_invalid"},
		"an infinite amount":                      {"amount=Infinity&currency=usd", "amount_invalid"},
		"more than Stripe takes":                  {"amount=100000000&currency=usd", "amount_invalid"},
		"an overflow of 32 bits":                  {"amount=4294967396&currency=usd", "amount_invalid"},
		"an overflow of 64 bits":                  {"amount=18446744073709551716&currency=usd", "amount_invalid"},
		"the amount left out":                     {"currency=usd", "request_invalid"},
		"the currency left out":                   {"amount=100", "request_invalid"},
		"a look-alike currency":                   {"amount=100&currency=u\u017fd", "currency_unsupported"},
		"a currency with a space":                 {"amount=100&currency=usd+", "currency_unsupported"},
		"the currency as a list":                  {"amount=100&currency[]=usd", "request_ambiguous"},
		"money for another account":               {"amount=100&currency=usd&transfer_data[destination]=acct_1", "scope_denied"},
		"a fee for another account":               {"amount=100&currency=usd&application_fee_amount=99", "scope_denied"},
		"a parameter nobody knows":                {"amount=100&currency=usd&amount_max=9", "request_invalid"},
		"our own stamp":                           {"amount=100&currency=usd&metadata[tollgate_call]=x", "request_invalid"},
		"our own stamp in capitals":               {"amount=100&currency=usd&metadata[Tollgate_Call]=x", "request_invalid"},
		"metadata that would take the stamp away": {"amount=100&currency=usd&metadata[]=x", "request_ambiguous"},
		"metadata of metadata":                    {"amount=100&currency=usd&metadata[a][b]=x", "request_ambiguous"},
		"metadata emptied":                        {"amount=100&currency=usd&metadata=", "request_ambiguous"},
		"confirm in another spelling":             {"amount=100&currency=usd&confirm=TRUE", "request_ambiguous"},
		"confirm as a number":                     {"amount=100&currency=usd&confirm=1", "request_ambiguous"},
		"more than the cap":                       {"amount=101&currency=usd", "cap_exhausted"},
		"all that Stripe takes":                   {"amount=99999999&currency=usd", "cap_exhausted"},
	} {
		cases[name] = hostileCase{create(tc.body), tc.code}
	}
	for name, query := range map[string]string{
		"the amount in the query too":          "amount=1",
		"the amount in the query with another": "amount=99999999",
		"another parameter in the query":       "expand[]=latest_charge",
		"our stamp in the query":               "metadata[tollgate_call]=x",
		"an idempotency key in the query":      "idempotency_key=other",
		"a broken query":                       "%",
		"an ampersand as the query":            "&",
	} {
		cases[name] = hostileCase{write("POST /stripe/v1/payment_intents?"+query+" HTTP/1.1", plainBody), "request_ambiguous"}
	}
	cases["everything in the query"] = hostileCase{write("POST /stripe/v1/payment_intents?"+plainBody+" HTTP/1.1", ""), "request_ambiguous"}
	cases["a refund of two things"] = hostileCase{
		write("POST /stripe/v1/refunds HTTP/1.1", "charge=ch_1&payment_intent=pi_1"), "request_invalid",
	}
	cases["a refund of a path"] = hostileCase{write("POST /stripe/v1/refunds HTTP/1.1", "charge=ch_1/../ch_2"), "request_invalid"}
	h.refusesAll(cases)
}

func TestHostile_JSONWithTwoReadingsIsRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	cases := map[string]hostileCase{}
	for name, tc := range map[string]struct{ body, code string }{
		"the amount twice":                     {`{"amount":1,"amount":99999999,"currency":"usd"}`, "request_ambiguous"},
		"the amount twice, once escaped":       {`{"amount":1,"\u0061mount":99999999,"currency":"usd"}`, "request_ambiguous"},
		"the amount in two cases":              {`{"amount":1,"Amount":99999999,"currency":"usd"}`, "request_ambiguous"},
		"the amount in another case":           {`{"AMOUNT":100,"currency":"usd"}`, "request_ambiguous"},
		"a name twice further down":            {`{"amount":100,"currency":"usd","metadata":{"a":"1","a":"2"}}`, "request_ambiguous"},
		"a name that is a path":                {`{"amount":100,"currency":"usd","metadata[a]":"1"}`, "request_ambiguous"},
		"a look-alike name":                    {`{"\u0430mount":1,"amount":100,"currency":"usd"}`, "request_ambiguous"},
		"a name with a NUL":                    {`{"amount\u0000":1,"amount":100,"currency":"usd"}`, "request_ambiguous"},
		"an empty name":                        {`{"":1,"amount":100,"currency":"usd"}`, "request_ambiguous"},
		"something behind it":                  {`{"amount":100,"currency":"usd"}{"amount":1}`, "request_ambiguous"},
		"a brace behind it":                    {`{"amount":100,"currency":"usd"}}`, "request_ambiguous"},
		"a form behind it":                     {`{"amount":100,"currency":"usd"}&amount=1`, "request_ambiguous"},
		"a NUL behind it":                      {"{\"amount\":100,\"currency\":\"usd\"}\x00", "request_ambiguous"},
		"a comment":                            {`{"amount":100,/*"amount":1,*/"currency":"usd"}`, "request_ambiguous"},
		"a comma too many":                     {`{"amount":100,"currency":"usd",}`, "request_ambiguous"},
		"single quotes":                        {`{'amount':100,'currency':'usd'}`, "request_ambiguous"},
		"half an object":                       {`{"amount":100,"currency":"usd"`, "request_ambiguous"},
		"an array":                             {`[{"amount":100,"currency":"usd"}]`, "request_ambiguous"},
		"a string":                             {`"amount=100&currency=usd"`, "request_ambiguous"},
		"null":                                 {`null`, "request_ambiguous"},
		"nesting without end":                  {`{"amount":100,"currency":"usd","shipping":` + strings.Repeat(`{"a":`, 1000) + `1` + strings.Repeat(`}`, 1000) + `}`, "request_ambiguous"},
		"arrays without end":                   {`{"amount":` + strings.Repeat(`[`, 10000), "request_ambiguous"},
		"invalid UTF-8":                        {"{\"amount\":100,\"currency\":\"usd\",\"description\":\"\xff\"}", "request_ambiguous"},
		"half a surrogate pair":                {`{"amount":100,"currency":"usd","description":"\ud800"}`, "request_ambiguous"},
		"half a surrogate pair in a name":      {`{"amount":100,"currency":"usd","metadata":{"a\ud800":"1"}}`, "request_ambiguous"},
		"a byte order mark":                    {"\xef\xbb\xbf{\"amount\":100,\"currency\":\"usd\"}", "request_ambiguous"},
		"UTF-16":                               {"{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", "request_ambiguous"},
		"an amount with an exponent":           {`{"amount":1e2,"currency":"usd"}`, "request_ambiguous"},
		"an amount with a fraction":            {`{"amount":100.0,"currency":"usd"}`, "request_ambiguous"},
		"an amount with a small fraction":      {`{"amount":100.0000000000000000000000001,"currency":"usd"}`, "request_ambiguous"},
		"an amount with a plus":                {`{"amount":+100,"currency":"usd"}`, "request_ambiguous"},
		"an amount with a leading zero":        {`{"amount":0100,"currency":"usd"}`, "request_ambiguous"},
		"an amount in hexadecimal":             {`{"amount":0x64,"currency":"usd"}`, "request_ambiguous"},
		"a negative amount":                    {`{"amount":-100,"currency":"usd"}`, "amount_invalid"},
		"minus zero":                           {`{"amount":-0,"currency":"usd"}`, "request_ambiguous"},
		"an overflow":                          {`{"amount":18446744073709551716,"currency":"usd"}`, "amount_invalid"},
		"an amount that is no number":          {`{"amount":NaN,"currency":"usd"}`, "request_ambiguous"},
		"an amount that is null":               {`{"amount":null,"currency":"usd"}`, "request_ambiguous"},
		"an amount that is true":               {`{"amount":true,"currency":"usd"}`, "amount_invalid"},
		"an amount in a list":                  {`{"amount":[100],"currency":"usd"}`, "request_ambiguous"},
		"an amount in an object":               {`{"amount":{"value":100},"currency":"usd"}`, "request_ambiguous"},
		"an amount as text with a plus":        {`{"amount":"+100","currency":"usd"}`, "amount_invalid"},
		"an amount as text with an exponent":   {`{"amount":"1e2","currency":"usd"}`, "amount_invalid"},
		"an amount as text in full width":      {`{"amount":"\uff11\uff10\uff10","currency":"usd"}`, "amount_invalid"},
		"an amount as text with another in it": {`{"amount":"100&amount=1","currency":"usd"}`, "amount_invalid"},
		"our own stamp":                        {`{"amount":100,"currency":"usd","metadata":{"tollgate_call":"x"}}`, "request_invalid"},
		"a list as metadata":                   {`{"amount":100,"currency":"usd","metadata":{"a":["x"]}}`, "request_ambiguous"},
		"another method":                       {`{"amount":100,"currency":"usd","_method":"DELETE"}`, "request_ambiguous"},
		"more than the cap":                    {`{"amount":101,"currency":"usd"}`, "cap_exhausted"},
	} {
		cases[name] = hostileCase{create(tc.body, "Content-Type: application/json"), tc.code}
	}
	h.refusesAll(cases)
}

func TestHostile_BodiesOfAnotherKindAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	multipart := "--x\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n100\r\n--x--\r\n"
	cases := map[string]hostileCase{
		"multipart":                       {create(multipart, "Content-Type: multipart/form-data; boundary=x"), "request_ambiguous"},
		"a form called multipart":         {create(plainBody, "Content-Type: multipart/form-data; boundary=x"), "request_ambiguous"},
		"gzip":                            {create("\x1f\x8b\x08\x00", "Content-Encoding: gzip"), "request_ambiguous"},
		"a form called gzip":              {create(plainBody, "Content-Encoding: gzip"), "request_ambiguous"},
		"a form called identity":          {create(plainBody, "Content-Encoding: identity"), "request_ambiguous"},
		"an encoding hidden by another":   {create(plainBody, "Content-Encoding:", "Content-Encoding: br"), "request_ambiguous"},
		"an encoding with an underscore":  {create(plainBody, "Content_Encoding: gzip"), "request_ambiguous"},
		"a part of a body":                {create(plainBody, "Content-Range: bytes 0-21/99"), "request_ambiguous"},
		"no kind":                         {create(plainBody, "Content-Type:"), "request_ambiguous"},
		"plain text":                      {create(plainBody, "Content-Type: text/plain"), "request_ambiguous"},
		"XML":                             {create("<amount>100</amount>", "Content-Type: text/xml"), "request_ambiguous"},
		"two kinds":                       {create(plainBody, formType, "Content-Type: application/json"), "request_ambiguous"},
		"two kinds in a line":             {create(plainBody, formType+", application/json"), "request_ambiguous"},
		"a kind with an underscore":       {create(plainBody, formType, "Content_Type: application/json"), "request_ambiguous"},
		"a form called JSON":              {create(plainBody, "Content-Type: application/json"), "request_ambiguous"},
		"JSON called a form":              {create(`{"amount":100,"currency":"usd"}`), "request_ambiguous"},
		"JSON of another kind":            {create(`{"amount":100,"currency":"usd"}`, "Content-Type: application/merge-patch+json"), "request_ambiguous"},
		"another charset":                 {create(plainBody, formType+"; charset=utf-16"), "request_ambiguous"},
		"two charsets":                    {create(plainBody, formType+"; charset=utf-8; charset=utf-16"), "request_ambiguous"},
		"a body larger than what is read": {create(plainBody + "&description=" + strings.Repeat("x", 256<<10)), "request_invalid"},
		"a body larger than is ever sent": {create(plainBody, "Content-Length: 99999999999"), "request_invalid"},
	}
	h.refusesAll(cases)
}

func TestHostile_WhatIsSentIsBuiltFromWhatWasMetered(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		raw  rawRequest
		want string // of the body, before the stamp
	}{
		"encoded letters":     {create("%61m%6Funt=%31%30%30&currency=us%64"), "amount=100&currency=usd"},
		"another order":       {create("currency=usd&amount=100"), "amount=100&currency=usd"},
		"an amount in a text": {create(plainBody + "&description=%26amount%3D1"), "amount=100&currency=usd&description=%26amount%3D1"},
		"JSON":                {create(`{"currency":"usd","\u0061mount":100}`, "Content-Type: application/json"), "amount=100&currency=usd"},
		"JSON with text in it that looks like a form": {
			create(`{"currency":"usd","amount":"100","description":"x&amount=1"}`, "Content-Type: application/json; charset=UTF-8"),
			"amount=100&currency=usd&description=x%26amount%3D1",
		},
		"a body in chunks": {
			create("b\r\namount=100&\r\nC\r\ncurrency=usd\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "amount=100&currency=usd",
		},
		"headers of its own": {
			create(plainBody, "X-Forwarded-For: 10.0.0.1", "Cookie: a=b", "Content-Language: en", "Forwarded: for=x", "X-Real-Ip: 1"),
			"amount=100&currency=usd",
		},
		"an expectation that is understood": {create(plainBody, "Expect: 100-continue"), "amount=100&currency=usd"},
		"an older version of HTTP":          {write("POST /stripe/v1/payment_intents HTTP/1.0", plainBody), "amount=100&currency=usd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hostile(t)
			got := h.send(tc.raw)
			require.Equal(t, http.StatusOK, got.status, got.body)
			seen := h.seen()
			require.Len(t, seen, 1)
			require.True(t, strings.HasPrefix(seen[0], "POST /v1/payment_intents "+tc.want+"&metadata%5Btollgate_call%5D=call_"), seen[0])
			require.Equal(t, "0.00", got.header.Get("Tollgate-Remaining-Usd"))
		})
	}
}
