package customerlist_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const header = "customer,payment_method,amount_cents,currency\n"

func listFile(t *testing.T, content string) customerlist.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "customers.csv")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return customerlist.Source{Path: path}
}

func TestPin_CountsAddsUpAndHashesTheBytes(t *testing.T) {
	t.Parallel()
	content := header + "cus_1,pm_card_visa,1999,usd\ncus_2,pm_card_visa,1,usd\n"
	pinned, err := customerlist.Pin(t.Context(), listFile(t, content))
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(content))
	require.Equal(t, customerlist.Pinned{SHA256: hex.EncodeToString(sum[:]), Count: 2, TotalUSD: 20 * money.Dollar}, pinned)
}

func TestPin_ReadsEveryFormThatTheDocumentationAllows(t *testing.T) {
	t.Parallel()
	want := []customerlist.Customer{
		{ID: "cus_1", PaymentMethod: "pm_card_visa", AmountCents: 1999, Currency: "usd"},
		{ID: "cus_2", PaymentMethod: "pm_card_mastercard", AmountCents: 99999999, Currency: "usd"},
	}
	for sentence, content := range map[string]string{
		"plain": header + "cus_1,pm_card_visa,1999,usd\ncus_2,pm_card_mastercard,99999999,usd\n",
		"columns in another order, with those that are passed over": "email,currency,amount_cents,name,customer,payment_method,phone\n" +
			"a@example.com,usd,1999,Ann,cus_1,pm_card_visa,+49\n,usd,99999999,,cus_2,pm_card_mastercard,\n",
		"quoted, with a comma inside": "customer,payment_method,amount_cents,currency,name\n" +
			`"cus_1","pm_card_visa","1999","usd","Doe, Jane"` + "\n" + `cus_2,pm_card_mastercard,99999999,usd,"say ""hi"""` + "\n",
		"as a spreadsheet saves it": "\ufeff" + strings.ReplaceAll(header+"cus_1,pm_card_visa,1999,USD\ncus_2,pm_card_mastercard,99999999,usd", "\n", "\r\n"),
		"empty lines and blanks":    "\n" + header + "\n cus_1 , pm_card_visa ,1999, usd \n\n\ncus_2,pm_card_mastercard,99999999,usd\n\n",
		"JSON lines": `{"customer":"cus_1","payment_method":"pm_card_visa","amount_cents":1999,"currency":"usd"}` + "\n" +
			`{"name":"B","currency":"usd","amount_cents":99999999,"payment_method":"pm_card_mastercard","customer":"cus_2"}`,
		"JSON lines behind a byte order mark": "\ufeff" + `{"customer":"cus_1","payment_method":"pm_card_visa","amount_cents":1999,"currency":"usd"}` + "\n\n" +
			`{"customer":"cus_2","payment_method":"pm_card_mastercard","amount_cents":99999999,"currency":"usd"}` + "\n",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			source := listFile(t, content)
			pinned, err := customerlist.Pin(t.Context(), source)
			require.NoError(t, err)
			require.Equal(t, 2, pinned.Count)
			page, err := customerlist.NewReader().Page(t.Context(), source, pinned, 0, 2)
			require.NoError(t, err)
			require.Equal(t, want, page)
		})
	}
}

func TestPin_NamesFileLineAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := "cus_1,pm_card_visa,1999,usd\n"
	row := func(amount string) string { return header + good + "cus_2,pm_card_visa," + amount + ",usd\n" }
	object := func(fields string) string { return "{" + fields + "}\n" }
	const three = `"customer":"cus_1","payment_method":"pm_card_visa","currency":"usd"`
	for sentence, bad := range map[string]struct {
		content string
		line    int
		problem string
	}{
		"zero amount":                {row("0"), 3, "amount_cents is zero; leave out customers with nothing to pay"},
		"negative amount":            {row("-5"), 3, `amount_cents "-5" is negative`},
		"amount above the vendor's":  {row("100000000"), 3, `amount_cents "100000000" is too large, at most 99999999`},
		"amount beyond int64":        {row("99999999999999999999"), 3, `amount_cents "99999999999999999999" is too large, at most 99999999`},
		"amount in dollars":          {row("19.99"), 3, `amount_cents "19.99" is not a whole number of cents`},
		"amount with exponent":       {row("1e3"), 3, `amount_cents "1e3" is not a whole number of cents`},
		"amount with plus":           {row("+5"), 3, `amount_cents "+5" is not a whole number of cents`},
		"amount in other digits":     {row("５"), 3, `amount_cents "５" is not a whole number of cents`},
		"amount empty":               {row(""), 3, `amount_cents "" is not a whole number of cents`},
		"other currency":             {header + "cus_1,pm_card_visa,1999,eur\n", 2, `currency "eur" is not supported; only usd is`},
		"missing column":             {"customer,amount_cents,currency\n" + "cus_1,1999,usd\n", 1, "column payment_method is missing from the header"},
		"no header":                  {good, 1, `column "cus_1" is not known; the header takes customer,payment_method,amount_cents,currency, and optionally email,phone,name`},
		"misspelt column":            {"customer,payment_method,amount,currency\n", 1, `column "amount" is not known; the header takes customer,payment_method,amount_cents,currency, and optionally email,phone,name`},
		"column twice":               {"customer,customer,payment_method,amount_cents,currency\n", 1, "column customer is there twice"},
		"too few fields":             {header + "cus_1,pm_card_visa,1999\n", 2, "has 3 fields, the header has 4"},
		"too many fields":            {header + "cus_1,pm_card_visa,1,999,usd\n", 2, "has 5 fields, the header has 4"},
		"quote left open":            {header + "\"cus_1,pm_card_visa,1999,usd\ncus_2\",pm_card_visa,1,usd\n", 2, "quotes are not balanced; a quoted field must end on its own line"},
		"duplicate customer":         {header + good + "cus_2,pm_card_visa,1,usd\n" + good, 4, "the customer is already on line 2; remove one, or allow duplicates to charge both"},
		"bad UTF-8":                  {header + "cus_\xff,pm_card_visa,1999,usd\n", 2, "the line is not valid UTF-8"},
		"over-long line":             {header + good + strings.Repeat("x", 16<<10) + "\n", 3, "the line is longer than 16384 bytes"},
		"no customer ID":             {header + ",pm_card_visa,1999,usd\n", 2, "customer is empty"},
		"no payment method":          {header + "cus_1,,1999,usd\n", 2, "payment_method is empty"},
		"customer ID with a newline": {object(`"customer":"cus\n1","payment_method":"pm_card_visa","currency":"usd","amount_cents":1`), 1, "customer may have only letters, digits, _ and -"},
		"over-long ID":               {header + strings.Repeat("c", 256) + ",pm_card_visa,1999,usd\n", 2, "customer has 256 characters, at most 255 are taken"},
		"empty file":                 {"", 0, "the list has no customers"},
		"header alone":               {header, 0, "the list has no customers"},
		"JSON array":                 {"[\n{}]", 1, "this looks like a JSON array; write one object a line"},
		"JSON without amount":        {object(three), 1, "amount_cents is missing"},
		"JSON amount as string":      {object(three + `,"amount_cents":"1999"`), 1, "amount_cents must be a number"},
		"JSON amount with fraction":  {object(three + `,"amount_cents":19.99`), 1, `amount_cents "19.99" is not a whole number of cents`},
		"JSON name twice":            {object(three + `,"amount_cents":1,"amount_cents":2`), 1, "amount_cents is there twice"},
		"JSON unknown name":          {object(three + `,"amount_cents":1,"ammount":2`), 1, `"ammount" is not a known name`},
		"JSON nested":                {object(three + `,"amount_cents":{"v":1}`), 1, "amount_cents must be a plain value"},
		"JSON customer as number":    {object(`"customer":7,"payment_method":"pm_card_visa","amount_cents":1,"currency":"usd"`), 1, "customer must be a string"},
		"JSON two on a line":         {object(three + `,"amount_cents":1`)[:len(three)+19] + "{}\n", 1, "has something after the object; write one object a line"},
		"JSON cut off":               {"{" + three, 1, "is not one flat JSON object"},
		"JSON, then CSV":             {object(three+`,"amount_cents":1`) + good, 2, "is not one flat JSON object"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			source := listFile(t, bad.content)
			_, err := customerlist.Pin(t.Context(), source)
			var unusable *customerlist.Error
			require.ErrorAs(t, err, &unusable)
			require.Equal(t, customerlist.Error{Source: source.Path, Line: bad.line, Problem: bad.problem}, *unusable)
			require.NotContains(t, err.Error(), "\n")
			if bad.line > 0 {
				require.Contains(t, err.Error(), fmt.Sprintf("customers.csv:%d: ", bad.line))
			}
		})
	}
}

func TestPin_RefusesSourcesThatNameNothingToRead(t *testing.T) {
	t.Parallel()
	for sentence, source := range map[string]customerlist.Source{
		"neither":          {},
		"both":             {Path: "/tmp/x", Generate: 3},
		"fewer than none":  {Generate: -1},
		"more than fit":    {Generate: customerlist.MaxCustomers + 1},
		"relative path":    {Path: "customers.csv"},
		"a directory":      {Path: t.TempDir()},
		"a device":         {Path: os.DevNull},
		"relative upwards": {Path: "../customers.csv"},
	} {
		_, err := customerlist.Pin(t.Context(), source)
		var unusable *customerlist.Error
		require.ErrorAs(t, err, &unusable, sentence)
	}
	_, err := customerlist.Pin(t.Context(), customerlist.Source{Path: filepath.Join(t.TempDir(), "none.csv")})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestPin_TakesDuplicatesWhenAllowed(t *testing.T) {
	t.Parallel()
	source := listFile(t, header+"cus_1,pm_card_visa,100,usd\ncus_1,pm_card_visa,200,usd\n")
	source.AllowDuplicates = true
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	require.Equal(t, 2, pinned.Count)
	require.Equal(t, 3*money.Dollar, pinned.TotalUSD)
}

func TestPin_EndsWhenItsContextDoes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("worker stops")
	cancel(reason)
	_, err := customerlist.Pin(ctx, customerlist.Source{Generate: 5000})
	require.ErrorIs(t, err, reason)
	_, err = customerlist.Pin(ctx, longList(t, 5000))
	require.ErrorIs(t, err, reason)
}

func longList(t *testing.T, n int) customerlist.Source {
	t.Helper()
	var content strings.Builder
	content.WriteString(header)
	for i := range n {
		fmt.Fprintf(&content, "cus_%d,pm_card_visa,%d,usd\n", i, i+1)
		if i%100 == 0 {
			content.WriteString("\n")
		}
	}
	return listFile(t, content.String())
}
