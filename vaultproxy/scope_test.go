package vaultproxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// longLived keeps a key alive over days.
func longLived(r *client.IssueRequest) { r.ExpiresIn = "100h" }

func ofCustomers(ids ...string) func(*client.IssueRequest) {
	return func(r *client.IssueRequest) {
		r.Scope.Customers = ids
		r.AllowedEndpoints = append(r.AllowedEndpoints, "GET /v1/payment_intents", "GET /v1/customers/{id}", "GET /v1/customers")
	}
}

func ofAccounts(ids ...string) func(*client.IssueRequest) {
	return func(r *client.IssueRequest) { r.Scope.ConnectedAccounts = ids }
}

func TestScope_OfCustomersBoundsWhatIsChargedAndMoved(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10*money.Dollar, ofCustomers("cus_1"))
	others := b.behindItsBack("/v1/payment_intents", "amount=100&currency=usd&customer=cus_2&payment_method=pm_card_visa&payment_method_types[]=card")
	before := len(b.seen.of(http.MethodPost))
	for name, call := range map[string][2]string{
		"a charge of another":     {intents, strings.Replace(charge, "cus_1", "cus_2", 1)},
		"a charge of nobody":      {intents, strings.Replace(charge, "customer=cus_1&", "", 1)},
		"a confirm for another":   {intents + "/" + others + "/confirm", "off_session=true"},
		"a cancel for another":    {intents + "/" + others + "/cancel", ""},
		"a transfer of its money": {intents, charge + "&transfer_data[destination]=acct_1"},
	} {
		got := b.post(key.VaultKey, call[0], name, call[1])
		require.Equal(t, http.StatusForbidden, got.status, name)
		require.Equal(t, "scope_denied", got.code(), name)
	}
	require.Len(t, b.seen.of(http.MethodPost), before, "nothing of it was sent")
	got := b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, http.StatusOK, got.status, got.raw)
	b.requireBudget(0, money.Dollar)
}

func TestScope_OfCustomersBoundsWhatIsRead(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10*money.Dollar, ofCustomers("cus_1"))
	others := b.behindItsBack("/v1/payment_intents", "amount=100&currency=usd&customer=cus_2&description=nobody-elses-business")
	ours := b.create(key, "ours", unconfirmed)
	for path, allowed := range map[string]bool{
		intents + "/" + ours:         true,
		intents + "/" + others:       false,
		intents + "?customer=cus_1":  true,
		intents + "?customer=cus_2":  false,
		intents:                      false,
		"/stripe/v1/customers/cus_2": false,
		"/stripe/v1/customers":       false,
	} {
		got := b.get(key.VaultKey, path)
		if allowed {
			require.Equal(t, http.StatusOK, got.status, "%s: %s", path, got.raw)
			continue
		}
		require.Equal(t, "scope_denied", got.code(), "%s: %s", path, got.raw)
		require.NotContains(t, got.raw, "nobody-elses-business", "what was read is not told")
	}
}

// oneAccount has the stand-in, which knows no connected accounts, take all for its own.
func oneAccount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Stripe-Account")
		next.ServeHTTP(w, r)
	})
}

func TestScope_OfAccountsGoesAlongWithEveryRequestOfACall(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{upstream: oneAccount})
	key := b.issue(10*money.Dollar, ofAccounts("acct_1"), longLived)
	got := b.post(key.VaultKey, intents, "item-1", charge, "Stripe-Account", "acct_2")
	require.Equal(t, "scope_denied", got.code(), got.raw)
	require.Empty(t, b.seen.of(http.MethodPost))

	b.sim.NextFaults(vendorsim.AnswerLost)
	got = b.post(key.VaultKey, intents, "item-1", charge, "Stripe-Account", "acct_1")
	require.Equal(t, "outcome_unknown", got.code(), got.raw)
	got = b.post(key.VaultKey, intents, "item-1", charge)
	require.Equal(t, "idempotency_mismatch", got.code(), "for another account it is another request")
	b.reconcile() // looks it up
	require.Equal(t, "settled", b.call("item-1").State)

	got = b.post(key.VaultKey, intents, "made", unconfirmed, "Stripe-Account", "acct_1")
	require.Equal(t, http.StatusOK, got.status, got.raw)
	made := got.text("id")
	got = b.post(key.VaultKey, intents+"/"+made+"/confirm", "confirm", "off_session=true")
	require.Equal(t, "scope_denied", got.code(), "its hold is another account's: %s", got.raw)
	b.reconcile() // follows it
	got = b.get(key.VaultKey, intents+"/"+made)
	require.Equal(t, http.StatusOK, got.status)

	all := append(b.seen.of(http.MethodPost), b.seen.of(http.MethodGet)...)
	require.GreaterOrEqual(t, len(all), 5)
	without := 0
	for _, request := range all {
		if request.header.Get("Stripe-Account") == "" {
			without++
			continue
		}
		require.Equal(t, "acct_1", request.header.Get("Stripe-Account"))
	}
	require.Equal(t, 1, without, "only the read that names none")
}

func TestScope_WithoutOneNothingReachesAnotherAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	key := b.issue(10 * money.Dollar)
	for name, body := range map[string]string{
		"merchant": charge + "&on_behalf_of=acct_1", "transfer": charge + "&transfer_data[destination]=acct_1",
		"fee": charge + "&application_fee_amount=1",
	} {
		require.Equal(t, "scope_denied", b.post(key.VaultKey, intents, name, body).code(), name)
	}
	require.Equal(t, "scope_denied", b.post(key.VaultKey, intents, "account", charge, "Stripe-Account", "acct_1").code())
	require.Empty(t, b.seen.of(http.MethodPost))
}

func TestIssue_TakesAScopeThatNamesSomebody(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	scope := client.Scope{Customers: []string{"cus_2", "cus_1"}, ConnectedAccounts: []string{"acct_1"}, ApplicationFees: true}
	first := b.issue(money.Dollar, func(r *client.IssueRequest) { r.Scope = scope })
	again := b.issue(money.Dollar, func(r *client.IssueRequest) { r.Scope = scope; r.Scope.Customers = []string{"cus_1", "cus_2"} })
	require.Equal(t, first, again, "a list is a set")
	keys, err := b.control.Keys(t.Context(), b.run())
	require.NoError(t, err)
	require.Equal(t, client.Scope{Customers: []string{"cus_1", "cus_2"}, ConnectedAccounts: []string{"acct_1"}, ApplicationFees: true}, keys[0].Scope)
	for name, change := range map[string]func(*client.Scope){
		"a customer more": func(s *client.Scope) { s.Customers = append(s.Customers, "cus_3") }, "no customers": func(s *client.Scope) { s.Customers = nil },
		"another account": func(s *client.Scope) { s.ConnectedAccounts = []string{"acct_2"} }, "no fees": func(s *client.Scope) { s.ApplicationFees = false },
	} {
		other := client.Scope{Customers: []string{"cus_1", "cus_2"}, ConnectedAccounts: []string{"acct_1"}, ApplicationFees: true}
		change(&other)
		_, err := b.control.Issue(t.Context(), b.terms(money.Dollar, func(r *client.IssueRequest) { r.Scope = other }), "")
		requireCode(t, err, http.StatusConflict, "policy_conflict", name)
	}
}

func TestIssue_RefusesAScopeThatWouldNotNarrow(t *testing.T) {
	t.Parallel()
	b := setup(t, setupOptions{})
	for name, scope := range map[string]string{
		"no customers in the list": `{"customers":[]}`,
		"no accounts in the list":  `{"connected_accounts":[]}`,
		"a customer that is none":  `{"customers":["*"]}`,
		"fees of nobody":           `{"application_fees":true}`,
		"a field that is misspelt": `{"customer":["cus_1"]}`,
		"customers twice":          `{"customers":["cus_1"],"Customers":["cus_2"]}`,
	} {
		got := b.admin(http.MethodPost, "/vault/keys", `{"vendor":"stripe","allowed_endpoints":["POST /v1/charges"],"expires_in":"1h",`+
			`"agent_run_label":"run","total_usd_cap":1,"scope":`+scope+`}`)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", name, got.raw)
		require.Equal(t, "request_invalid", got.code(), name)
	}
}
