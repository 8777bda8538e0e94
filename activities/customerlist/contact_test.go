package customerlist_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities/customerlist"
)

func TestContacts_AreReadFromTheirOptionalColumns(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"CSV in any order": "phone,customer,payment_method,name,amount_cents,currency,email\n" +
			"+12015550100,cus_1,pm_1,Ann,100,usd,ann@example.com\n,cus_2,pm_2,,200,usd,\n",
		"JSON lines, one of them without": `{"customer":"cus_1","payment_method":"pm_1","amount_cents":100,"currency":"usd","email":"ann@example.com","phone":"+12015550100"}` +
			"\n" + `{"customer":"cus_2","payment_method":"pm_2","amount_cents":200,"currency":"usd"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := contacts(t, content, 2)
			require.Equal(t, []customerlist.Contact{
				{Customer: customerlist.Customer{ID: "cus_1", PaymentMethod: "pm_1", AmountCents: 100, Currency: "usd"}, Email: "ann@example.com", Phone: "+12015550100"},
				{Customer: customerlist.Customer{ID: "cus_2", PaymentMethod: "pm_2", AmountCents: 200, Currency: "usd"}},
			}, got)
		})
	}
}

func TestContacts_AreEmptyInAListWithoutSuchColumns(t *testing.T) {
	t.Parallel()
	got := contacts(t, "customer,payment_method,amount_cents,currency\ncus_1,pm_1,100,usd\n", 1)
	require.Empty(t, got[0].Email)
	require.Empty(t, got[0].Phone)
}

func contacts(t *testing.T, content string, n int) []customerlist.Contact {
	t.Helper()
	source := customerlist.Source{Path: filepath.Join(t.TempDir(), "list")}
	require.NoError(t, os.WriteFile(source.Path, []byte(content), 0o600))
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	got, err := customerlist.NewReader().Contacts(t.Context(), source, pinned, 0, n)
	require.NoError(t, err)
	return got
}

func TestContact_IsEncodedWithoutItsAddresses(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(customerlist.Contact{Email: "ann@example.com", Phone: "+12015550100"})
	require.NoError(t, err)
	require.NotContains(t, string(text), "example.com")
	require.NotContains(t, string(text), "555")
}

func TestGenerated_MakesPhoneNumbersThatAreValidAndOfOneCustomerEach(t *testing.T) {
	t.Parallel()
	const n = 20_000 // more than once through the area codes
	source := customerlist.Source{Generate: n, Seed: 3}
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	page, err := customerlist.NewReader().Contacts(t.Context(), source, pinned, 0, n)
	require.NoError(t, err)
	phones, emails := map[string]bool{}, map[string]bool{}
	for _, c := range page {
		if c.Email != "" {
			require.Contains(t, c.Email, "@example.com")
			emails[c.Email] = true
		}
		if c.Phone == "" {
			continue
		}
		number, err := phonenumbers.Parse(c.Phone, "")
		require.NoError(t, err, c.Phone)
		require.True(t, phonenumbers.IsValidNumber(number), c.Phone)
		phones[c.Phone] = true
	}
	require.Len(t, emails, n*98/100, "one in fifty has no e-mail address")
	require.Len(t, phones, n*90/100, "one in ten has no phone")
}
