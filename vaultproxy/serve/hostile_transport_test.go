package serve_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// chunked is the plain body in one chunk.
const chunked = "17\r\n" + plainBody + "\r\n0\r\n\r\n"

func TestHostile_MessagesWhoseEndIsInDoubtAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	smuggled := string(create("amount=99&currency=usd", "Idempotency-Key: smuggled"))
	length := func(n string) []string { return []string{"Content-Length: " + n} }
	inChunks := []string{"Transfer-Encoding: chunked"}
	cases := map[string]hostileCase{}
	for name, tc := range map[string]struct {
		body   string
		header []string
		code   string
	}{
		"a length and chunks":                {chunked, []string{"Content-Length: 5", "Transfer-Encoding: chunked"}, "request_ambiguous"},
		"chunks and a length":                {chunked, []string{"Transfer-Encoding: chunked", "Content-Length: 29"}, "request_ambiguous"},
		"a length of nothing and chunks":     {chunked + smuggled, []string{"Content-Length: 0", "Transfer-Encoding: chunked"}, "request_ambiguous"},
		"a length twice":                     {plainBody, []string{"Content-Length: 23", "Content-Length: 23"}, "request_ambiguous"},
		"two lengths":                        {plainBody, []string{"Content-Length: 23", "Content-Length: 5"}, byNetHTTP},
		"two lengths in a line":              {plainBody, length("23, 23"), byNetHTTP},
		"a length with a plus":               {plainBody, length("+23"), byNetHTTP},
		"a negative length":                  {plainBody, length("-1"), byNetHTTP},
		"a length in hexadecimal":            {plainBody, length("0x17"), byNetHTTP},
		"an empty length":                    {plainBody, length(""), byNetHTTP},
		"a length that overflows":            {plainBody, length("18446744073709551639"), byNetHTTP},
		"a length that is too short":         {plainBody, length("10"), "request_ambiguous"},
		"a length too short, and a request":  {plainBody + smuggled, length("10"), "request_ambiguous"},
		"a length with an underscore":        {plainBody, []string{"Content_Length: 5", "Content-Length: 23"}, "request_ambiguous"},
		"chunks twice":                       {chunked, []string{"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}, byNetHTTP},
		"chunks of chunks":                   {chunked, []string{"Transfer-Encoding: chunked, chunked"}, byNetHTTP},
		"chunks that are compressed":         {chunked, []string{"Transfer-Encoding: gzip, chunked"}, byNetHTTP},
		"chunks that are not":                {chunked, []string{"Transfer-Encoding: identity"}, byNetHTTP},
		"chunks and something else":          {chunked, []string{"Transfer-Encoding: chunked;q=1"}, byNetHTTP},
		"chunks misspelt":                    {chunked, []string{"Transfer-Encoding: xchunked"}, byNetHTTP},
		"chunks behind a vertical tab":       {chunked, []string{"Transfer-Encoding: \x0bchunked"}, byNetHTTP},
		"chunks with an underscore":          {plainBody, []string{"Transfer_Encoding: chunked", "Content-Length: 23"}, "request_ambiguous"},
		"a space before the colon":           {plainBody, []string{"Transfer-Encoding : chunked", "Content-Length: 23"}, byNetHTTP},
		"a folded header":                    {plainBody, []string{"X-Note: a\r\n b", "Content-Length: 23"}, "request_ambiguous"},
		"a header without a colon":           {plainBody, []string{"X-Note", "Content-Length: 23"}, byNetHTTP},
		"a header without a name":            {plainBody, []string{": x", "Content-Length: 23"}, byNetHTTP},
		"a NUL in a header":                  {plainBody, []string{"X-Note: a\x00b", "Content-Length: 23"}, byNetHTTP},
		"a bare CR in a header":              {plainBody, []string{"X-Note: a\rTransfer-Encoding: chunked", "Content-Length: 23"}, byNetHTTP},
		"a bare LF behind a header":          {plainBody, []string{"X-Note: a\nX-Other: b", "Content-Length: 23"}, "request_ambiguous"},
		"a bare LF that hides a header":      {chunked, []string{"X-Note: a\nTransfer-Encoding: chunked", "Content-Length: 29"}, "request_ambiguous"},
		"an extension of a chunk":            {"17;a=b\r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk's size with a space":        {"17 \r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk's size with a prefix":       {"0x17\r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk's size that is negative":    {"-17\r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk's size that overflows":      {"10000000000000017\r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk's size that is missing":     {"\r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk longer than it says":        {"5\r\n" + plainBody + "\r\n0\r\n\r\n", inChunks, "request_ambiguous"},
		"a chunk that ends in a bare LF":     {"17\n" + plainBody + "\n0\n\n", inChunks, "request_ambiguous"},
		"trailers":                           {"17\r\n" + plainBody + "\r\n0\r\nX-Note: a\r\n\r\n", inChunks, "request_ambiguous"},
		"trailers with another key":          {"17\r\n" + plainBody + "\r\n0\r\nIdempotency-Key: b\r\n\r\n", inChunks, "request_ambiguous"},
		"trailers that were announced":       {"17\r\n" + plainBody + "\r\n0\r\nX-Note: a\r\n\r\n", []string{"Transfer-Encoding: chunked", "Trailer: X-Note"}, "request_ambiguous"},
		"trailers announced and not sent":    {chunked, []string{"Transfer-Encoding: chunked", "Trailer: X-Note"}, "request_ambiguous"},
		"chunks, and something behind them":  {chunked + "x", inChunks, "request_ambiguous"},
		"chunks, and another request behind": {chunked + "GET nonsense\r\n\r\n", inChunks, "request_ambiguous"},
	} {
		cases[name] = hostileCase{create(tc.body, tc.header...), tc.code}
	}
	cases["chunks in HTTP/1.0"] = hostileCase{
		write("POST /stripe/v1/payment_intents HTTP/1.0", chunked, "Transfer-Encoding: chunked", "Content-Length: 29"), "request_ambiguous",
	}
	cases["chunks in HTTP/1.0 without a length"] = hostileCase{
		write("POST /stripe/v1/payment_intents HTTP/1.0", chunked, "Transfer-Encoding: chunked"), "request_ambiguous",
	}
	cases["lines that end in a bare LF"] = hostileCase{
		rawRequest(strings.ReplaceAll(string(create(plainBody)), "\r\n", "\n")), "request_ambiguous",
	}
	cases["a space too many in the request line"] = hostileCase{write("POST /stripe/v1/payment_intents  HTTP/1.1", plainBody), byNetHTTP}
	cases["an empty line before it"] = hostileCase{"\r\n" + create(plainBody), byNetHTTP}
	h.refusesAll(cases)
}

func TestHostile_AFlawStaysWithItsConnection(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	conn := h.open()
	bad := create(plainBody, "Content-Length: 23", "Content-Length: 23", "X-Note: a")
	good := create(plainBody)
	_, err := io.WriteString(conn, strings.ReplaceAll(string(bad), "{key}", h.key.VaultKey))
	require.NoError(t, err)
	require.Equal(t, "request_ambiguous", h.answer(conn, bad).code)
	// Either the proxy has hung up by now, or it refuses.
	if _, err := io.WriteString(conn, strings.ReplaceAll(string(good), "{key}", h.key.VaultKey)); err == nil {
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			require.Equal(t, "request_ambiguous", res.Header.Get("Tollgate-Denied"))
			require.NoError(t, res.Body.Close())
		}
	}
	h.untouched()
}

func TestHostile_HeadersThatMeanAnotherRequestAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	cases := map[string]hostileCase{}
	for name, tc := range map[string]struct {
		header []string
		code   string
	}{
		"Authorization for one hop only":      {[]string{"Connection: Authorization"}, "request_ambiguous"},
		"Authorization among others":          {[]string{"Connection: keep-alive, authorization"}, "request_ambiguous"},
		"the idempotency key for one hop":     {[]string{"Connection: close", "Connection: Idempotency-Key"}, "request_ambiguous"},
		"the length for one hop only":         {[]string{"Connection: Content-Length"}, "request_ambiguous"},
		"a header of ours for one hop only":   {[]string{"Connection: close, Tollgate-Item"}, "request_ambiguous"},
		"an empty hop":                        {[]string{"Connection: ,"}, "request_ambiguous"},
		"transfer codings for one hop":        {[]string{"Connection: TE", "TE: trailers"}, "request_ambiguous"},
		"an upgrade to h2c":                   {[]string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}, "request_ambiguous"},
		"an upgrade to h2c without a hop":     {[]string{"Upgrade: h2c"}, "request_ambiguous"},
		"settings of HTTP/2":                  {[]string{"HTTP2-Settings: AAMAAABkAAQAAP__"}, "request_ambiguous"},
		"an upgrade to a web socket":          {[]string{"Connection: Upgrade", "Upgrade: websocket"}, "request_ambiguous"},
		"an upgrade without a name":           {[]string{"Upgrade:"}, "request_ambiguous"},
		"an upgrade to TLS":                   {[]string{"Connection: Upgrade", "Upgrade: TLS/1.2"}, "request_ambiguous"},
		"an expectation nobody knows":         {[]string{"Expect: 200-ok"}, byNetHTTP},
		"an expectation with another":         {[]string{"Expect: 100-continue, 200-ok"}, "request_ambiguous"},
		"an expectation twice":                {[]string{"Expect: 100-continue", "Expect: 100-continue"}, "request_ambiguous"},
		"two vault keys":                      {[]string{"Authorization: Bearer {key}", "Authorization: Bearer {key}"}, "request_ambiguous"},
		"two vault keys in a line":            {[]string{"Authorization: Bearer {key}, Bearer {key}"}, "key_unknown"},
		"a vault key with an underscore":      {[]string{"Authorization: Bearer {key}", "Idempotency_Key: b"}, "request_ambiguous"},
		"the key as the user":                 {[]string{"Authorization: Basic dmF1bHRfa2V5Og=="}, "key_unknown"},
		"no vault key":                        {[]string{"Authorization:"}, "key_unknown"},
		"the vault key for a proxy":           {[]string{"Authorization:", "Proxy-Authorization: Bearer {key}"}, "key_unknown"},
		"the vault key as a cookie":           {[]string{"Authorization:", "Cookie: authorization=Bearer {key}"}, "key_unknown"},
		"another account":                     {[]string{"Stripe-Account: acct_1"}, "scope_denied"},
		"another account hidden by none":      {[]string{"Stripe-Account:", "Stripe-Account: acct_1"}, "request_ambiguous"},
		"another context":                     {[]string{"Stripe-Context: acct_1"}, "scope_denied"},
		"another context hidden by none":      {[]string{"Stripe-Context:", "Stripe-Context: acct_1"}, "request_ambiguous"},
		"another account with an underscore":  {[]string{"Stripe_Account: acct_1"}, "request_ambiguous"},
		"another version":                     {[]string{"Stripe-Version: 2099-01-01"}, "request_invalid"},
		"two idempotency keys":                {[]string{"Idempotency-Key: hostile", "Idempotency-Key: other"}, "request_ambiguous"},
		"two idempotency keys in cases":       {[]string{"Idempotency-Key: hostile", "IDEMPOTENCY-KEY: other"}, "request_ambiguous"},
		"no idempotency key":                  {[]string{"Idempotency-Key:"}, "idempotency_required"},
		"an idempotency key beyond ASCII":     {[]string{"Idempotency-Key: h\xc3\xb6stile"}, "request_invalid"},
		"an idempotency key without end":      {[]string{"Idempotency-Key: " + strings.Repeat("a", 256)}, "request_invalid"},
		"two items":                           {[]string{"Tollgate-Item: 1", "Tollgate-Item: 2"}, "request_ambiguous"},
		"an item beyond ASCII":                {[]string{"Tollgate-Item: \xff"}, "request_invalid"},
		"two hosts":                           {[]string{"Host: 127.0.0.1", "Host: api.stripe.com"}, byNetHTTP},
		"a host with a trailing dot":          {[]string{"Host: api.stripe.com."}, "request_ambiguous"},
		"a host with a trailing dot and port": {[]string{"Host: localhost.:8787"}, "request_ambiguous"},
		"a host with two dots":                {[]string{"Host: api..stripe.com"}, "request_ambiguous"},
		"a host with a user":                  {[]string{"Host: a@127.0.0.1"}, byNetHTTP},
		"a host with a path":                  {[]string{"Host: 127.0.0.1/stripe"}, byNetHTTP},
		"a host with an encoded dot":          {[]string{"Host: 127%2e0.0.1"}, "request_ambiguous"},
		"a host with two ports":               {[]string{"Host: 127.0.0.1:80:81"}, "request_ambiguous"},
		"a host with a named port":            {[]string{"Host: 127.0.0.1:http"}, "request_ambiguous"},
		"a host with a port that is missing":  {[]string{"Host: 127.0.0.1:"}, "request_ambiguous"},
		"a list of hosts":                     {[]string{"Host: 127.0.0.1, api.stripe.com"}, byNetHTTP},
		"an empty host":                       {[]string{"Host:"}, "request_ambiguous"},
	} {
		cases[name] = hostileCase{create(plainBody, tc.header...), tc.code}
	}
	cases["no host"] = hostileCase{rawRequest(strings.Replace(string(create(plainBody)), "Host: 127.0.0.1\r\n", "", 1)), byNetHTTP}
	h.refusesAll(cases)
}

func TestHostile_HeadersWithoutEndAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	for name, header := range map[string][]string{
		"one":  {"X-Note: " + strings.Repeat("a", 64<<10)},
		"many": strings.Split(strings.Repeat("X-Note: a\n", 6000)+"X-Note: a", "\n"),
	} {
		conn := h.open()
		_, _ = io.WriteString(conn, strings.ReplaceAll(string(create(plainBody, header...)), "{key}", h.key.VaultKey))
		said, _ := io.ReadAll(conn) // the proxy hangs up on what it does not read, which may overtake its answer
		if len(said) > 0 {
			require.True(t, strings.HasPrefix(string(said), "HTTP/1.1 431 "), "%s: %.100s", name, said)
		}
	}
	h.untouched()
}

func TestHostile_OtherProtocolsAreRefused(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	cases := map[string]hostileCase{
		"HTTP/2 with prior knowledge": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "key_unknown"},
		"HTTP/2 in the request line":  {write("POST /stripe/v1/payment_intents HTTP/2.0", plainBody), byNetHTTP},
		"HTTP/3 in the request line":  {write("POST /stripe/v1/payment_intents HTTP/3", plainBody), byNetHTTP},
		"HTTP/1.2":                    {write("POST /stripe/v1/payment_intents HTTP/1.2", plainBody), "request_ambiguous"},
		"HTTP/0.9":                    {"GET /stripe/v1/payment_intents\r\n\r\n", byNetHTTP},
		"HTTP in small letters":       {write("POST /stripe/v1/payment_intents http/1.1", plainBody), byNetHTTP},
		"no HTTP at all":              {"hello\r\n\r\n", byNetHTTP},
	}
	h.refusesAll(cases)
}

// Whoever does not finish gets nothing done, and is let go within a bounded time.
//
//nolint:tparallel // what comes behind the group looks at what it left behind
func TestHostile_SlowAndBrokenRequestsSendNothing(t *testing.T) {
	t.Parallel()
	h := hostileWithin(t, 5*time.Second)
	whole := strings.ReplaceAll(string(create(plainBody)), "{key}", h.key.VaultKey)
	head, _, _ := strings.Cut(whole, "\r\n\r\n")
	requests := map[string]struct {
		raw, code string
		hangUp    bool
	}{
		"a body that does not come":          {head + "\r\n\r\n", "overloaded", false},
		"a body that stops half way":         {whole[:len(whole)-5], "overloaded", false},
		"a body that breaks off":             {whole[:len(whole)-5], "overloaded", true},
		"a head that stops half way":         {head, "", false},
		"a head that breaks off":             {head, "", true},
		"nothing":                            {"", "", false},
		"a chunk that breaks off":            {strings.Replace(head, "Content-Length: 23", "Transfer-Encoding: chunked", 1) + "\r\n\r\n17\r\namount=100&", "overloaded", true},
		"chunks without the last one":        {strings.Replace(head, "Content-Length: 23", "Transfer-Encoding: chunked", 1) + "\r\n\r\n17\r\n" + plainBody + "\r\n", "overloaded", true},
		"a body whose wait is asked for":     {head + "\r\nExpect: 100-continue\r\n\r\n", "overloaded", false},
		"a whole body but for the last byte": {whole[:len(whole)-1], "overloaded", true},
	}
	t.Run("requests", func(t *testing.T) {
		for name, tc := range requests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conn := h.open()
				_, err := io.WriteString(conn, tc.raw)
				require.NoError(t, err)
				if tc.hangUp {
					tcp, ok := conn.(*net.TCPConn)
					require.True(t, ok)
					require.NoError(t, tcp.CloseWrite())
				}
				said, err := io.ReadAll(conn) // ends when the proxy hangs up
				require.NoError(t, err)
				if tc.code == "" {
					require.NotContains(t, string(said), " 200 ")
				} else {
					require.Contains(t, string(said), "Tollgate-Denied: "+tc.code)
				}
				require.Empty(t, h.seen())
			})
		}
	})
	h.untouched()
}

// Two requests on one connection are two calls, each with its own price.
func TestHostile_RequestsBehindOneAnotherAreEachMetered(t *testing.T) {
	t.Parallel()
	h := hostile(t)
	conn := h.open()
	first, second := create("amount=50&currency=usd"), create("amount=51&currency=usd", "Idempotency-Key: second")
	third := create("c\r\namount=50&cu\r\na\r\nrrency=usd\r\n0\r\n\r\n", "Idempotency-Key: third", "Transfer-Encoding: chunked")
	_, err := io.WriteString(conn, strings.ReplaceAll(string(first+second+third), "{key}", h.key.VaultKey))
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	var codes []string
	for range 3 {
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		t.Log(res.Status, h.seen())
		require.Contains(t, []int{200, 429}, res.StatusCode)
		codes = append(codes, res.Header.Get("Tollgate-Denied"))
	}
	require.Equal(t, []string{"", "cap_exhausted", ""}, codes)
	report, err := control(t, h.server).RunReport(t.Context(), h.run)
	require.NoError(t, err)
	require.Equal(t, money.Dollar, report.Budget.CommittedUSD)
	require.Len(t, h.seen(), 2)
}
