package money

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParse_ReadsPlainDecimals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]USD{
		"0": 0, "500": 500 * Dollar, "499.99": 499*Dollar + 99*Cent, "0.0075": 7500,
		"0.000001": Micro, "007": 7 * Dollar, "9223372036854.775807": Max,
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParse_RefusesWhatItWouldHaveToGuess(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", " 1", "1 ", "0x10", "1_000", "NaN", "inf",
		"0.0000001", "9223372036854.775808", "9223372036855", "99999999999999999999", "５", "1.2.3",
	} {
		_, err := Parse(text)
		require.Error(t, err, text)
	}
}

func TestString_RoundTripsThroughParseAndJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		amount := USD(rapid.Int64Min(0).Draw(t, "micro-USD"))
		parsed, err := Parse(amount.String())
		require.NoError(t, err)
		require.Equal(t, amount, parsed)

		signed := amount
		if rapid.Bool().Draw(t, "negative") {
			signed = -amount
		}
		encoded, err := json.Marshal(signed)
		require.NoError(t, err)
		var decoded USD
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, signed, decoded)
	})
	require.Equal(t, "500.00", (500 * Dollar).String())
	require.Equal(t, "0.0075", USD(7500).String())
	require.Equal(t, "-1.50", (-150 * Cent).String())
	require.Equal(t, "-9223372036854.775808", USD(math.MinInt64).String())
}

func TestUnmarshalJSON_TakesNumbersFromTheirDigits(t *testing.T) {
	t.Parallel()
	var amount USD
	require.NoError(t, json.Unmarshal([]byte("500"), &amount))
	require.Equal(t, 500*Dollar, amount)
	require.NoError(t, json.Unmarshal([]byte("0.1"), &amount))
	require.Equal(t, 10*Cent, amount)
	for _, bad := range []string{"1e3", "true", `"abc"`, "{}", "0.12345678"} {
		require.Error(t, json.Unmarshal([]byte(bad), &amount), bad)
	}
}

func TestArithmetic_ReportsOverflow(t *testing.T) {
	t.Parallel()
	_, err := Add(Max, Micro)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = Add(math.MinInt64, -1)
	require.ErrorIs(t, err, ErrOverflow)
	_, err = Cents(math.MaxInt64)
	require.ErrorIs(t, err, ErrOverflow)
	got, err := Cents(1999)
	require.NoError(t, err)
	require.Equal(t, 1999*Cent, got)
}
