package vaultproxy_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vendorsim"
)

// beside is another run at the same proxy, which may do everything as well.
func (s *stripeStand) beside() *stripeStand {
	s.t.Helper()
	other := *s
	other.key = s.issue(100*dollar, func(r *client.IssueRequest) {
		r.AgentRunLabel = s.run() + "/other"
		r.AllowedEndpoints = nil
		for _, path := range documentedOperations(s.t) {
			r.AllowedEndpoints = append(r.AllowedEndpoints, "POST "+path)
		}
	})
	return &other
}

func TestStripe_AnObjectOfAnotherRunIsMeteredToTheCaller(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make                func(*stripeStand) string
		path                string // of the call
		body                string
		held, settled, cost money.USD // cost: of a call that just does not fit
	}{
		"an update":     {func(s *stripeStand) string { return s.intent("") }, "/v1/payment_intents/{id}", "amount=650", 650 * money.Cent, 0, 650 * money.Cent},
		"a smaller one": {func(s *stripeStand) string { return s.intent("") }, "/v1/payment_intents/{id}", "amount=250", 250 * money.Cent, 0, 250 * money.Cent},
		"an increment":  {(*stripeStand).authorized, "/v1/payment_intents/{id}/increment_authorization", "amount=900", 9 * dollar, 0, 9 * dollar},
		"an item":       {(*stripeStand).billed, "/v1/invoiceitems", "customer=cus_1&amount=100&invoice={id}", 8 * dollar, 0, 8 * dollar},
		"a finalising":  {(*stripeStand).billed, "/v1/invoices/{id}/finalize", "", 7 * dollar, 0, 7 * dollar},
		"a payment":     {(*stripeStand).opened, "/v1/invoices/{id}/pay", "", 0, 7 * dollar, 7 * dollar},
		"a void":        {(*stripeStand).opened, "/v1/invoices/{id}/void", "", 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupStand(t, 100*dollar)
			id := test.make(s.beside())
			replace := func(text string) string { return withID(text, id) }
			s.ok(replace(test.path), replace(test.body))
			s.requireBudget(test.held, test.settled)

			report, err := s.control.RunReport(t.Context(), s.run()+"/other")
			require.NoError(t, err)
			require.Zero(t, report.Budget.CommittedUSD+report.Budget.SettledUSD, "one object is booked once")
			if test.cost == 0 {
				return
			}
			poor := setupStand(t, test.cost-money.Cent)
			id = test.make(poor.beside())
			posts := poor.sim.Truth().Posts
			got := poor.post(poor.key.VaultKey, "/stripe"+replace(test.path), poor.next(), replace(test.body))
			require.Equal(t, "cap_exhausted", got.code(), got.raw)
			require.Equal(t, posts, poor.sim.Truth().Posts)
		})
	}
}

func TestStripe_AfterARefusalTheNextMoveIsMeteredInFullAgain(t *testing.T) {
	t.Parallel()
	s := setupStand(t, 700*money.Cent)
	id := s.intent("")
	s.ok("/v1/payment_intents/"+id+"/cancel", "")
	s.requireBudget(0, 0)
	s.ok("/v1/payment_intents", unconfirmed)
	got := s.post(s.key.VaultKey, "/stripe/v1/payment_intents/"+id, s.next(), "amount=400")
	require.Equal(t, "cap_exhausted", got.code(), "nothing is held for it any more: %s", got.raw)
}

func TestStripe_AStoredFailureIsProvedForEveryKind(t *testing.T) {
	t.Parallel()
	for name, r := range stripeRows() {
		if r.free {
			continue
		}
		for fault, done := range map[vendorsim.Fault]bool{vendorsim.Error500AfterCharge: true, vendorsim.Error500BeforeCharge: false} {
			t.Run(name+" "+string(fault), func(t *testing.T) {
				t.Parallel()
				s := setupStand(t, 100*dollar)
				path, body := r.call(s)
				key := s.next()
				s.sim.NextFaults(fault)
				require.Equal(t, "outcome_unknown", s.post(s.key.VaultKey, "/stripe"+path, key, body).code())
				unknown := s.report().Budget.UnknownUSD
				require.GreaterOrEqual(t, unknown, r.held+r.settled)
				if !done { // Stripe repeats its failure; only an empty look-up past the fence ends it
					require.Equal(t, "outcome_unknown", s.post(s.key.VaultKey, "/stripe"+path, key, body).code())
					require.Equal(t, unknown, s.report().Budget.UnknownUSD)
					s.clock.advance(pastFence)
				}
				got := s.post(s.key.VaultKey, "/stripe"+path, key, body)
				if unseen := name == "payment_intents.update" || name == "payment_intents.increment_authorization"; unseen && !done {
					require.Equal(t, "outcome_unknown", got.code(), "the amount does not tell")
					return
				}
				require.Equal(t, http.StatusOK, got.status, got.raw)
				budget := s.report().Budget
				require.Zero(t, budget.UnknownUSD)
				require.Equal(t, r.held+r.settled, budget.CommittedUSD+budget.SettledUSD)
			})
		}
	}
}
