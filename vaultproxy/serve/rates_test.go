package serve_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money/fx"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

func rates(asOf time.Time) string {
	return fmt.Sprintf("as_of: %s\nmax_age: 48h\nmargin: \"0.03\"\nrates: {eur: \"1.10\"}\n", asOf.UTC().Format(time.RFC3339))
}

func TestStart_RefusesExchangeRatesThatItCannotRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.FXFile = b.file(t, "fx.yaml", rates(time.Now())+"eur: 1\nusd: 1\n")
	require.Contains(t, b.refused(t), "fx.yaml")
	require.NoDirExists(t, b.cfg.StateDir)
	b.cfg.FXFile += ".absent"
	require.Contains(t, b.refused(t), "read the exchange rates: ")
}

func TestStart_TellsHowLongItsExchangeRatesAreGood(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		age  time.Duration
		says string
	}{
		"fresh":   {0, `level=INFO msg="exchange rates" currencies=1`},
		"too old": {49 * time.Hour, `level=WARN msg="only US dollars are metered"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var log bytes.Buffer
			b.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			b.cfg.FXFile = b.file(t, "fx.yaml", rates(time.Now().Add(-tc.age)))
			s, err := serve.Prepare(t.Context(), b.cfg)
			require.NoError(t, err, "what is held can be settled, and dollars need no rate")
			require.Contains(t, log.String(), tc.says)
			stop(t, s)
		})
	}
}

func TestExample_OfExchangeRatesCanBeRead(t *testing.T) {
	t.Parallel()
	table, err := fx.Load("../../deploy/fx.example.yaml")
	require.NoError(t, err)
	require.Positive(t, table.Len())
}
