package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun_ServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--addr", "127.0.0.1:0", "--seed", "7", "--faults", "none"}, nil, in, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `^vendorsim listening on http://127\.0\.0\.1:[1-9]\d* \(seed 7, faults none\)\n$`, line)

	url := strings.Fields(line)[3]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
	require.NoError(t, err)
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)

	stop()
	require.NoError(t, <-done)
	_, err = net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.Error(t, err)
}

func TestRun_RefusesToStartInOneLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	live, twilio := "sk_"+"live_51Abc", "AC"+"0123456789abcdef0123456789abcdef"
	resend := "re_" + "AbCd1234_5678EfGh"
	for name, tc := range map[string]struct {
		args, environ []string
		says          string
	}{
		"port taken":                   {[]string{"--addr", taken.Addr().String()}, nil, "--addr"},
		"address that is none":         {[]string{"--addr", "nowhere"}, nil, "--addr"},
		"unknown flag":                 {[]string{"--fault", "none"}, nil, "--help"},
		"unexpected argument":          {[]string{"now"}, nil, "now"},
		"bad seed":                     {[]string{"--seed", "-1"}, nil, "seed"},
		"unknown fault":                {[]string{"--faults", "gremlin=0.1"}, nil, "gremlin"},
		"no slowness":                  {[]string{"--slow", "0"}, nil, "--slow"},
		"negative latency":             {[]string{"--latency", "-1s"}, nil, "--latency"},
		"unknown log level":            {[]string{"--log-level", "loud"}, nil, "--log-level"},
		"live key in a flag":           {[]string{"--addr", live}, nil, "live Stripe key"},
		"live key in a variable":       {nil, []string{"STRIPE_API_KEY=" + live}, "STRIPE_API_KEY"},
		"live key names a variable":    {nil, []string{live + "=1"}, "live Stripe key"},
		"Twilio account in a flag":     {[]string{"--addr", twilio}, nil, "Twilio account"},
		"Twilio account in a variable": {nil, []string{"TWILIO_ACCOUNT_SID=" + twilio}, "TWILIO_ACCOUNT_SID"},
		"Resend key in a flag":         {[]string{"--addr", resend}, nil, "Resend key"},
		"Resend key behind a flag":     {[]string{"--addr=" + resend}, nil, "Resend key"},
		"Resend key in a variable":     {nil, []string{"RESEND_API_KEY=" + resend}, "RESEND_API_KEY"},
		"Resend key names a variable":  {nil, []string{resend + "=1"}, "Resend key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(t.Context(), tc.args, tc.environ, &out, io.Discard)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), live)
			require.NotContains(t, err.Error(), twilio)
			require.NotContains(t, err.Error(), resend)
			require.Empty(t, out.String())
		})
	}
}

func TestRun_ExplainsItsFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--help"}, nil, &out, io.Discard))
	for _, name := range []string{"-addr", "-seed", "-faults", "-slow", "-latency", "-log-level"} {
		require.Contains(t, out.String(), name)
	}
}
