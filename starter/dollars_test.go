package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

func TestDollars_GroupsThousandsAndKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	for want, amount := range map[string]money.USD{
		"$0.00":                     0,
		"$0.0075":                   7500,
		"$999.99":                   999*money.Dollar + 99*money.Cent,
		"$1,000.00":                 1000 * money.Dollar,
		"-$1,234.50":                -(1234*money.Dollar + 50*money.Cent),
		"$9,223,372,036,854.775807": money.Max,
	} {
		require.Equal(t, want, dollars(amount))
	}
}

func TestCount_GroupsThousands(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]int{"0": 0, "999": 999, "3,000": 3000, "1,000,000": 1_000_000, "-1,000": -1000, "-100": -100} {
		require.Equal(t, want, count(n))
	}
}
