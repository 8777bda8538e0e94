package fx_test

import (
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/money/fx"
)

const table = `
as_of: 2026-11-24
max_age: 48h
margin: "0.03"
rates:
  eur: "1.0842"
  jpy: "0.00663"
  kwd: "3.2551"
`

func parse(t *testing.T, text string) *fx.Table {
	t.Helper()
	got, err := fx.Parse([]byte(text))
	require.NoError(t, err)
	return got
}

func TestRate_PricesWithTheMarginAndRoundsUpOnce(t *testing.T) {
	t.Parallel()
	rates := parse(t, table)
	for name, tc := range map[string]struct {
		currency string
		decimals int
		minor    int64
		want     money.USD
	}{
		"a dollar has no margin":                 {"usd", 2, 100, money.Dollar},
		"10.00 euro are 10.842 dollars and 3 %":  {"eur", 2, 1000, 11_167_260},
		"one cent of a euro is rounded up":       {"eur", 2, 1, 11_168}, // 11167.26
		"three cents are rounded up once":        {"eur", 2, 3, 33_502}, // 33501.78
		"1500 yen":                               {"jpy", 0, 1500, 10_243_350},
		"5.120 Kuwaiti dinars":                   {"kwd", 3, 5120, 17_166_096}, // 17166095.36
		"nothing costs nothing":                  {"eur", 2, 0, 0},
		"the largest amount of a whole currency": {"jpy", 0, 99_999_999, 682_889_993_172}, // …171.1
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rate, err := rates.Rate(tc.currency, tc.decimals)
			require.NoError(t, err)
			require.Equal(t, tc.currency, rate.Currency())
			got, err := rate.Price(tc.minor)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestRate_KnowsOnlyTheDollarWithoutATable(t *testing.T) {
	t.Parallel()
	var none *fx.Table
	require.Zero(t, none.Len())
	rate, err := none.Rate("usd", 2)
	require.NoError(t, err)
	got, err := rate.Price(499_99)
	require.NoError(t, err)
	require.Equal(t, 499_99*money.Cent, got)
	_, err = none.Rate("eur", 2)
	require.ErrorIs(t, err, fx.ErrUnknown)
	_, err = parse(t, table).Rate("gbp", 2)
	require.ErrorIs(t, err, fx.ErrUnknown)
	_, err = parse(t, table).Rate("EUR", 2)
	require.ErrorIs(t, err, fx.ErrUnknown, "codes are lower-case by the time they get here")
}

func TestRate_IsTheSameAfterItWasStored(t *testing.T) {
	t.Parallel()
	rate, err := parse(t, table).Rate("kwd", 3)
	require.NoError(t, err)
	stored, err := json.Marshal(&rate)
	require.NoError(t, err)
	var read fx.Rate
	require.NoError(t, json.Unmarshal(stored, &read))
	want, err := rate.Price(123_450)
	require.NoError(t, err)
	got, err := read.Price(123_450)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, "kwd", read.Currency())
}

func TestRate_RefusesToReadWhatIsNoRate(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "jpy", "jpy ", "jpy 0", "jpy -1", "jpy 1/0", "jpy 1e3", "jpy 0.5", "JPY 1", "jp 1", "jpy 1/2/3", "jpy 1 2"} {
		require.Error(t, new(fx.Rate).UnmarshalText([]byte(text)), text)
	}
	_, err := fx.Rate{}.MarshalText()
	require.Error(t, err)
	_, err = fx.Rate{}.Price(1)
	require.Error(t, err)
}

func TestRate_RefusesNegativeAmountsAndOverflow(t *testing.T) {
	t.Parallel()
	rate, err := parse(t, table).Rate("kwd", 0)
	require.NoError(t, err)
	_, err = rate.Price(-1)
	require.Error(t, err)
	_, err = rate.Price(math.MaxInt64)
	require.ErrorIs(t, err, money.ErrOverflow)
}

// decimalText draws a decimal number as a table may hold it.
func decimalText(whole, frac int64, decimals int) string {
	digits := strconv.FormatInt(frac, 10)
	for len(digits) < decimals {
		digits = "0" + digits
	}
	return strconv.FormatInt(whole, 10) + "." + digits[:decimals]
}

func TestPrice_IsNeverBelowTheExactValueAndRisesWithTheAmount(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rateText := decimalText(rapid.Int64Range(0, 1000).Draw(r, "whole"), rapid.Int64Range(1, 999_999_999_999).Draw(r, "frac"), 12)
		marginText := decimalText(0, rapid.Int64Range(0, 999_999).Draw(r, "margin"), 6)
		decimals := rapid.IntRange(0, 3).Draw(r, "decimals")
		rates, err := fx.Parse([]byte("as_of: 2026-11-24\nmax_age: 24h\nmargin: \"" + marginText + "\"\nrates: {xyz: \"" + rateText + "\"}\n"))
		if err != nil {
			r.Fatal(err)
		}
		rate, err := rates.Rate("xyz", decimals)
		if err != nil {
			r.Fatal(err)
		}
		a := rapid.Int64Range(0, 999_999_999).Draw(r, "a")
		b := rapid.Int64Range(a, 999_999_999).Draw(r, "b")
		low, errLow := rate.Price(a)
		high, errHigh := rate.Price(b)
		if errLow != nil || errHigh != nil {
			r.Fatal(errLow, errHigh)
		}
		exact := exactMicro(a, rateText, decimals)
		with := new(big.Rat).Mul(exact, new(big.Rat).Add(big.NewRat(1, 1), ratOf(marginText)))
		price := new(big.Rat).SetInt64(int64(low))
		switch {
		case price.Cmp(exact) < 0 || price.Cmp(with) < 0:
			r.Fatalf("%d costs %s, and is worth %s", a, price, with)
		case new(big.Rat).Sub(price, with).Cmp(big.NewRat(1, 1)) >= 0:
			r.Fatalf("%d costs %s: rounded by a whole micro-dollar or more from %s", a, price, with)
		case low > high:
			r.Fatalf("%d costs %d, and more, %d, only %d", a, low, b, high)
		}
		rest, err := rate.Price(b - a)
		if err != nil || low+rest < high {
			r.Fatalf("in two parts it is cheaper: %d + %d < %d", low, rest, high)
		}
	})
}

func ratOf(s string) *big.Rat {
	value, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return value
}

// exactMicro is worked out another way: by shifting the point in the text.
func exactMicro(minor int64, rate string, decimals int) *big.Rat {
	value := ratOf(strconv.FormatInt(minor, 10) + "e-" + strconv.Itoa(decimals))
	return value.Mul(value, ratOf(rate+"e6"))
}

func TestUsable_EndsWithTheMaxAgeAndDoesNotBeginBeforeItsDay(t *testing.T) {
	t.Parallel()
	rates := parse(t, table)
	asOf := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	require.Equal(t, asOf, rates.AsOf())
	require.Equal(t, asOf.Add(48*time.Hour), rates.Expires())
	require.Equal(t, 3, rates.Len())
	for name, tc := range map[string]struct {
		now  time.Time
		want *fx.DateError
	}{
		"on its day":                   {asOf.Add(time.Hour), nil},
		"the moment it is too old":     {asOf.Add(48 * time.Hour), nil},
		"just past its age":            {asOf.Add(48*time.Hour + 1), &fx.DateError{AsOf: asOf, MaxAge: 48 * time.Hour}},
		"before its day has come here": {asOf.Add(-23 * time.Hour), nil},
		"days before its day":          {asOf.Add(-25 * time.Hour), &fx.DateError{AsOf: asOf, MaxAge: 48 * time.Hour, Future: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := rates.Usable(tc.now)
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			var date *fx.DateError
			require.ErrorAs(t, err, &date)
			require.Equal(t, tc.want, date)
			require.Contains(t, date.Error(), "2026-11-24")
		})
	}
}

func TestParse_RefusesWhatIsNotATable(t *testing.T) {
	t.Parallel()
	head := "as_of: 2026-11-24\nmax_age: 48h\nmargin: \"0.03\"\n"
	for name, tc := range map[string]struct{ text, says string }{
		"nothing":                      {"", "empty"},
		"no rates":                     {head, "rates is missing"},
		"an unknown field":             {head + "base: usd\nrates: {eur: \"1\"}\n", "base"},
		"a field twice":                {head + "margin: \"0.00\"\nrates: {eur: \"1\"}\n", "margin"},
		"a currency twice":             {head + "rates:\n  eur: \"1\"\n  eur: \"0.01\"\n", "eur"},
		"a currency in capitals":       {head + "rates: {EUR: \"1\"}\n", "EUR"},
		"the dollar":                   {head + "rates: {usd: \"1\"}\n", "usd"},
		"a currency of four letters":   {head + "rates: {euro: \"1\"}\n", "euro"},
		"a rate of zero":               {head + "rates: {eur: \"0\"}\n", "eur"},
		"a rate of almost zero":        {head + "rates: {eur: \"0.0000000000001\"}\n", "eur"},
		"a negative rate":              {head + "rates: {eur: \"-1\"}\n", "eur"},
		"an exponent":                  {head + "rates: {eur: 1e3}\n", "eur"},
		"a comma":                      {head + "rates: {eur: \"1,08\"}\n", "eur"},
		"a rate without digits before": {head + "rates: {eur: .5}\n", "eur"},
		"a point without digits":       {head + "rates: {eur: \"1.\"}\n", "eur"},
		"a rate beyond all":            {head + "rates: {eur: \"1000001\"}\n", "eur"},
		"a rate that is a list":        {head + "rates: {eur: [1]}\n", "plain value"},
		"a rate that is missing":       {head + "rates: {eur: }\n", "eur"},
		"not a number":                 {head + "rates: {eur: .nan}\n", "eur"},
		"two documents":                {head + "rates: {eur: \"1\"}\n---\n" + head, "several"},
		"no date":                      {"max_age: 48h\nmargin: \"0.03\"\nrates: {eur: \"1\"}\n", "as_of"},
		"no age":                       {"as_of: 2026-11-24\nmargin: \"0.03\"\nrates: {eur: \"1\"}\n", "max_age"},
		"an age without a unit":        {"as_of: 2026-11-24\nmax_age: 48\nmargin: \"0.03\"\nrates: {eur: \"1\"}\n", "max_age"},
		"an age of a year":             {"as_of: 2026-11-24\nmax_age: 8760h\nmargin: \"0.03\"\nrates: {eur: \"1\"}\n", "max_age"},
		"no margin":                    {"as_of: 2026-11-24\nmax_age: 48h\nrates: {eur: \"1\"}\n", "margin"},
		"a margin in per cent":         {"as_of: 2026-11-24\nmax_age: 48h\nmargin: \"3\"\nrates: {eur: \"1\"}\n", "margin"},
		"a negative margin":            {"as_of: 2026-11-24\nmax_age: 48h\nmargin: \"-0.03\"\nrates: {eur: \"1\"}\n", "margin"},
		"another sort of file":         {"[1, 2]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fx.Parse([]byte(tc.text))
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestParse_TakesNumbersDigitForDigit(t *testing.T) {
	t.Parallel()
	rates := parse(t, "as_of: 2026-11-24T16:00:00+01:00\nmax_age: 36h\nmargin: 0\nrates: {eur: 1.10, jpy: 0.000000000001}\n")
	require.Equal(t, time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC), rates.AsOf())
	rate, err := rates.Rate("eur", 2)
	require.NoError(t, err)
	got, err := rate.Price(100)
	require.NoError(t, err)
	require.Equal(t, 110*money.Cent, got)
}

func TestLoad_NamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fx.yaml")
	_, err := fx.Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("rates: {}"), 0o600))
	_, err = fx.Load(path)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, []byte(table), 0o600))
	got, err := fx.Load(path)
	require.NoError(t, err)
	require.Equal(t, 3, got.Len())
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20+1), 0o600))
	_, err = fx.Load(path)
	require.ErrorContains(t, err, "1 MiB")
}
