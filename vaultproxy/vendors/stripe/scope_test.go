package stripe_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const hundred = "amount=100&currency=usd"

// platform is a scope with one connected account, and fees.
func platform() ledger.Scope {
	return ledger.Scope{Accounts: []string{"acct_1"}, ApplicationFees: true}
}

func TestMeter_GivesToOtherAccountsOnlyWhatTheScopeAllows(t *testing.T) {
	t.Parallel()
	shared := `{"id":"pi_1","object":"payment_intent","status":"requires_capture","currency":"usd","amount":100,"amount_capturable":100,"transfer_data":{"destination":"acct_9"}}`
	ours := `{"id":"pi_1","object":"payment_intent","status":"requires_capture","currency":"usd","amount":100,"amount_capturable":100,"on_behalf_of":{"id":"acct_1"},"transfer_data":{"destination":"acct_1"}}`
	for name, tc := range map[string]struct {
		path, body, object string
		scope              ledger.Scope
		header             []string
		code, param        string // of the refusal, if there is one
	}{
		"money to another account without a scope":      {intents, hundred + "&transfer_data[destination]=acct_1", "", ledger.Scope{}, nil, vendors.ScopeDenied, "transfer_data"},
		"another account as merchant without a scope":   {intents, hundred + "&on_behalf_of=acct_1", "", ledger.Scope{}, nil, vendors.ScopeDenied, "on_behalf_of"},
		"a fee without a scope":                         {intents, hundred + "&application_fee_amount=1", "", ledger.Scope{}, nil, vendors.ScopeDenied, "application_fee_amount"},
		"a group of transfers without a scope":          {intents, hundred + "&transfer_group=x", "", ledger.Scope{}, nil, vendors.ScopeDenied, "transfer_group"},
		"a capture that moves money on without a scope": {intents + "/pi_1/capture", "transfer_data[amount]=1", ours, ledger.Scope{}, nil, vendors.ScopeDenied, "transfer_data"},
		"another account to act on without a scope":     {intents, hundred, "", ledger.Scope{}, []string{"Stripe-Account", "acct_1"}, vendors.ScopeDenied, ""},

		"money to an account of the scope":      {intents, hundred + "&transfer_data[destination]=acct_1", "", platform(), nil, "", ""},
		"money to one that is not":              {intents, hundred + "&transfer_data[destination]=acct_2", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"money to one that begins alike":        {intents, hundred + "&transfer_data[destination]=acct_12", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"money to one in capitals":              {intents, hundred + "&transfer_data[destination]=ACCT_1", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"money to one with a space":             {intents, hundred + "&transfer_data[destination]=acct_1+", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"a destination in a list":               {intents, hundred + "&transfer_data[destination][]=acct_1", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"a destination in capital letters":      {intents, hundred + "&transfer_data[Destination]=acct_1", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"another member":                        {intents, hundred + "&transfer_data[destination]=acct_1&transfer_data[x]=1", "", platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"a part of the payment":                 {intents, hundred + "&transfer_data[destination]=acct_1&transfer_data[amount]=100", "", platform(), nil, "", ""},
		"more than the payment":                 {intents, hundred + "&transfer_data[destination]=acct_1&transfer_data[amount]=101", "", platform(), nil, vendors.AmountInvalid, "transfer_data"},
		"an account of the scope as merchant":   {"/v1/charges", hundred + "&on_behalf_of=acct_1", "", platform(), nil, "", ""},
		"an empty merchant":                     {"/v1/charges", hundred + "&on_behalf_of=", "", platform(), nil, vendors.ScopeDenied, "on_behalf_of"},
		"a fee up to the payment":               {intents, hundred + "&application_fee_amount=100&transfer_data[destination]=acct_1", "", platform(), nil, "", ""},
		"a fee above the payment":               {intents, hundred + "&application_fee_amount=101", "", platform(), nil, vendors.AmountInvalid, "application_fee_amount"},
		"a negative fee":                        {intents, hundred + "&application_fee_amount=-1", "", platform(), nil, vendors.AmountInvalid, "application_fee_amount"},
		"a fee where fees are not in the scope": {intents, hundred + "&application_fee_amount=1", "", ledger.Scope{Accounts: []string{"acct_1"}}, nil, vendors.ScopeDenied, "application_fee_amount"},
		"a fee above what is captured":          {intents + "/pi_1/capture", "amount_to_capture=50&application_fee_amount=51", ours, platform(), nil, vendors.AmountInvalid, "application_fee_amount"},
		"a fee above what a pin captures":       {intents + "/pi_1/capture", "application_fee_amount=101", ours, platform(), nil, vendors.AmountInvalid, "application_fee_amount"},
		"a fee of a capture":                    {intents + "/pi_1/capture", "application_fee_amount=100", ours, platform(), nil, "", ""},
		"a share of somebody else's object":     {intents + "/pi_1/capture", "application_fee_amount=1", shared, platform(), nil, vendors.ScopeDenied, "transfer_data"},
		"a capture of a share of the scope":     {intents + "/pi_1/capture", "", ours, platform(), nil, "", ""},
		"a reversal without a scope":            {"/v1/transfers/tr_1/reversals", "", transferTo("acct_1"), ledger.Scope{}, nil, vendors.ScopeDenied, "destination"},
		"a reversal from an account of ours":    {"/v1/transfers/tr_1/reversals", "", transferTo("acct_1"), platform(), nil, "", ""},
		"a reversal from another account":       {"/v1/transfers/tr_1/reversals", "", transferTo("acct_2"), platform(), nil, vendors.ScopeDenied, "destination"},
		"an account of the scope to act on":     {intents, hundred, "", platform(), []string{"Stripe-Account", "acct_1"}, "", ""},
		"another one to act on":                 {intents, hundred, "", platform(), []string{"Stripe-Account", "acct_2"}, vendors.ScopeDenied, ""},
		"a transfer without a scope":            {"/v1/transfers", hundred + "&destination=acct_1", "", ledger.Scope{}, nil, vendors.ScopeDenied, "destination"},
		"a transfer to an account of the scope": {"/v1/transfers", hundred + "&destination=acct_1&transfer_group=x", "", platform(), nil, "", ""},
		"a transfer to another":                 {"/v1/transfers", hundred + "&destination=acct_2", "", platform(), nil, vendors.ScopeDenied, "destination"},
		"a payout to our own bank":              {"/v1/payouts", hundred + "&destination=ba_1", "", ledger.Scope{}, nil, "", ""},
		"customers alone name no account":       {intents, hundred + "&customer=cus_1", "", ledger.Scope{Customers: []string{"cus_1"}}, []string{"Stripe-Account", "acct_1"}, vendors.ScopeDenied, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{scope: tc.scope, header: tc.header}
			if tc.object != "" {
				a.answers = map[string]string{"/v1/payment_intents/pi_1": tc.object, "/v1/transfers/tr_1": tc.object}
			}
			q, err := meter(t, a, tc.path, tc.body)
			if tc.code != "" {
				requireRefusal(t, err, tc.code, tc.param)
				return
			}
			require.NoError(t, err)
			require.Equal(t, money.Dollar, q.Price, "what is given on is a part of the payment")
		})
	}
}

func transferTo(destination string) string {
	return `{"id":"tr_1","object":"transfer","currency":"usd","amount":100,"destination":"` + destination + `"}`
}

func TestParse_RefusesSharesThatNoScopeCovers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ path, body, param string }{
		{intents + "/pi_1/confirm", "application_fee_amount=1", "application_fee_amount"},
		{intents + "/pi_1/confirm", "transfer_data[destination]=acct_1", "transfer_data"},
		{intents + "/pi_1/capture", "on_behalf_of=acct_1", "on_behalf_of"},
		{"/v1/refunds", "charge=ch_1&reverse_transfer=true", "reverse_transfer"},
		{"/v1/charges", hundred + "&destination=acct_1", "destination"},
	} {
		_, err := newProfile(t).Parse(form(tc.path, tc.body))
		requireRefusal(t, err, vendors.ScopeDenied, tc.param)
	}
	_, err := newProfile(t).Parse(form(intents, hundred+"&transfer_data=acct_1"))
	requireRefusal(t, err, vendors.Ambiguous, "transfer_data")
	_, err = newProfile(t).Parse(form(intents, hundred+"&on_behalf_of[]=acct_1"))
	requireRefusal(t, err, vendors.Ambiguous, "on_behalf_of")
}

func TestWire_NamesTheAccountThatTheCallActsOn(t *testing.T) {
	t.Parallel()
	q, err := meter(t, &account{scope: platform(), header: []string{"Stripe-Account", "acct_1"}}, intents, hundred)
	require.NoError(t, err)
	w := newProfile(t).Wire(q, vendors.Stamp{CallID: "call_1"})
	require.Equal(t, map[string]string{"Stripe-Version": "2023-10-16", "Stripe-Account": "acct_1"}, w.Header)
	// A look-up goes out with the headers of what was sent.
	w = newProfile(t).Wire(vendors.Quote{Request: vendors.Request{Method: http.MethodGet, Path: "/v1/charges/ch_1", Header: w.Header}}, vendors.Stamp{})
	require.Equal(t, map[string]string{"Stripe-Version": "2023-10-16", "Stripe-Account": "acct_1"}, w.Header)
}

func TestMeter_KeepsAHoldWithItsAccount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		held   map[string]string
		header []string
		ok     bool
	}{
		"the same account":           {map[string]string{"Stripe-Account": "acct_1"}, []string{"Stripe-Account", "acct_1"}, true},
		"another account":            {map[string]string{"Stripe-Account": "acct_2"}, []string{"Stripe-Account", "acct_1"}, false},
		"held for our own account":   {map[string]string{"Stripe-Version": "2023-10-16"}, []string{"Stripe-Account", "acct_1"}, false},
		"asked for our own account":  {map[string]string{"Stripe-Account": "acct_1"}, nil, false},
		"our own account both times": {map[string]string{"Stripe-Version": "2023-10-16"}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{scope: platform(), header: tc.header, bookings: map[string]vendors.Booking{
				"pi_1": {Seq: 17, SameRun: true, Committed: true, Hold: money.Dollar, Header: tc.held},
			}, answers: map[string]string{"/v1/payment_intents/pi_1": intent("requires_confirmation", 100, 0, 0)}}
			q, err := meter(t, a, intents+"/pi_1/confirm", "")
			if !tc.ok {
				requireRefusal(t, err, vendors.ScopeDenied, "")
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, 17, q.TakeOver)
		})
	}
}

func objectOf(customer string) string {
	return `{"id":"pi_1","object":"payment_intent","status":"requires_capture","currency":"usd","amount":100,"amount_capturable":100,"customer":` + customer + `}`
}

func TestMeter_HoldsWritesToTheCustomersOfTheScope(t *testing.T) {
	t.Parallel()
	held := map[string]vendors.Booking{"pi_1": {Seq: 17, SameRun: true, Committed: true, Hold: money.Dollar}}
	for name, tc := range map[string]struct {
		path, body, object string
		bookings           map[string]vendors.Booking
		denied             bool
	}{
		"a customer of the scope":                    {intents, hundred + "&customer=cus_1", "", nil, false},
		"another customer":                           {intents, hundred + "&customer=cus_2", "", nil, true},
		"one that begins alike":                      {intents, hundred + "&customer=cus_11", "", nil, true},
		"one in capitals":                            {intents, hundred + "&customer=CUS_1", "", nil, true},
		"one with a space":                           {intents, hundred + "&customer=cus_1%20", "", nil, true},
		"an empty one":                               {intents, hundred + "&customer=", "", nil, true},
		"none":                                       {intents, hundred, "", nil, true},
		"none, but in the metadata":                  {intents, hundred + "&metadata[customer]=cus_1", "", nil, true},
		"another one in the metadata says nothing":   {intents, hundred + "&customer=cus_1&metadata[customer]=cus_2", "", nil, false},
		"another one deep within":                    {intents, hundred + "&customer=cus_1&payment_method_options[x][customer]=cus_2", "", nil, true},
		"a charge without one":                       {"/v1/charges", hundred + "&source=tok_visa", "", nil, true},
		"an object of the scope":                     {intents + "/pi_1/capture", "", objectOf(`"cus_1"`), nil, false},
		"an object of the scope, customer in full":   {intents + "/pi_1/capture", "", objectOf(`{"id":"cus_1","object":"customer"}`), nil, false},
		"an object of another":                       {intents + "/pi_1/capture", "", objectOf(`"cus_2"`), nil, true},
		"an object of nobody":                        {intents + "/pi_1/capture", "", objectOf(`null`), nil, true},
		"an object of another that the run holds":    {intents + "/pi_1/confirm", "", objectOf(`"cus_2"`), held, true},
		"an object of the scope that the run holds":  {intents + "/pi_1/confirm", "", objectOf(`"cus_1"`), held, false},
		"a cancel of another's":                      {intents + "/pi_1/cancel", "", objectOf(`"cus_2"`), nil, true},
		"a payout, which is no customer's":           {"/v1/payouts", hundred, "", nil, true},
		"a transfer, which is no customer's":         {"/v1/transfers", hundred, "", nil, true},
		"a new customer":                             {"/v1/customers", "name=x", "", nil, true},
		"an update of a customer":                    {"/v1/customers/cus_2", "name=x", "", nil, true},
		"an object that would become another's":      {intents + "/pi_1", "customer=cus_2", objectOf(`"cus_1"`), nil, true},
		"another's object that would become ours":    {intents + "/pi_1", "customer=cus_1", objectOf(`"cus_2"`), nil, true},
		"a method that is another's":                 {"/v1/payment_methods/pm_1/attach", "customer=cus_1", `{"id":"pm_1","object":"payment_method","customer":"cus_2"}`, nil, true},
		"a method for another":                       {"/v1/payment_methods/pm_1/attach", "customer=cus_2", `{"id":"pm_1","object":"payment_method","customer":null}`, nil, true},
		"a refund of another's charge":               {"/v1/refunds", "charge=ch_1&amount=1", `{"id":"ch_1","object":"charge","status":"succeeded","currency":"usd","amount":100,"amount_captured":100,"captured":true,"customer":"cus_2"}`, nil, true},
		"a refund of a charge of the scope":          {"/v1/refunds", "charge=ch_1&amount=100", `{"id":"ch_1","object":"charge","status":"succeeded","currency":"usd","amount":100,"amount_captured":100,"captured":true,"customer":"cus_1"}`, nil, false},
		"a refund of another's payment, by its name": {"/v1/refunds", "payment_intent=pi_1&amount=1", objectOf(`"cus_2"`), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{scope: ledger.Scope{Customers: []string{"cus_0", "cus_1"}}, bookings: tc.bookings, answers: map[string]string{
				"/v1/payment_intents/pi_1": tc.object, "/v1/charges/ch_1": tc.object, "/v1/payment_methods/pm_1": tc.object,
			}}
			q, err := meter(t, a, tc.path, tc.body)
			if tc.denied {
				requireRefusal(t, err, vendors.ScopeDenied, "customer")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.path != intents+"/pi_1/cancel", q.Price == money.Dollar)
		})
	}
}

func TestMeter_LetsACustomerOfTheScopeHaveAMethodThatIsNobodys(t *testing.T) {
	t.Parallel()
	a := &account{scope: ledger.Scope{Customers: []string{"cus_1"}}, answers: map[string]string{
		"/v1/payment_methods/pm_1": `{"id":"pm_1","object":"payment_method","customer":null}`,
	}}
	_, err := meter(t, a, "/v1/payment_methods/pm_1/attach", "customer=cus_1")
	require.NoError(t, err)
}

func TestMeter_AsksForAnObjectOnce(t *testing.T) {
	t.Parallel()
	a := &account{scope: ledger.Scope{Customers: []string{"cus_1"}}, answers: map[string]string{"/v1/payment_intents/pi_1": objectOf(`"cus_1"`)}}
	_, err := meter(t, a, intents+"/pi_1/capture", "")
	require.NoError(t, err)
	require.Len(t, a.asked, 1, "what is decided about a call is decided on one answer")
	failing := &account{scope: a.scope, err: errors.New("the vendor is away")}
	_, err = meter(t, failing, intents+"/pi_1/capture", "")
	require.ErrorIs(t, err, failing.err)
}

func TestMeter_HoldsReadsToTheCustomersOfTheScope(t *testing.T) {
	t.Parallel()
	scope := ledger.Scope{Customers: []string{"cus_1"}}
	for target, allowed := range map[string]bool{
		"/v1/customers/cus_1":                                  true,
		"/v1/customers/cus_1/payment_methods":                  true,
		"/v1/customers/cus_2":                                  false,
		"/v1/customers/CUS_1":                                  false,
		"/v1/customers/cus_2/payment_methods":                  false,
		"/v1/customers":                                        false,
		"/v1/customers?customer=cus_1":                         false,
		"/v1/customers/search?query=x":                         false,
		"/v1/payment_intents/search?query=x&customer=cus_1":    false,
		"/v1/payment_intents/pi_1":                             true, // its answer is looked at
		"/v1/payment_intents/pi_1?customer=cus_2":              false,
		"/v1/payment_intents":                                  false,
		"/v1/payment_intents?limit=3":                          false,
		"/v1/payment_intents?customer=cus_1":                   true,
		"/v1/payment_intents?customer=cus_2":                   false,
		"/v1/payment_intents?customer[]=cus_1":                 false,
		"/v1/events?limit=1":                                   false,
		"/v1/payment_intents?customer=cus_1&x[customer]=cus_2": false,
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			_, err := meterRead(t, &account{scope: scope}, target)
			if allowed {
				require.NoError(t, err)
				return
			}
			requireRefusal(t, err, vendors.ScopeDenied, "customer")
		})
	}
	_, err := meterRead(t, &account{}, "/v1/customers")
	require.NoError(t, err, "without a scope nothing is narrowed")
	_, err = meterRead(t, &account{header: []string{"Stripe-Account", "acct_1"}}, "/v1/customers")
	requireRefusal(t, err, vendors.ScopeDenied, "")
	q, err := meterRead(t, &account{scope: platform(), header: []string{"Stripe-Account", "acct_1"}}, "/v1/customers")
	require.NoError(t, err)
	require.Equal(t, "acct_1", newProfile(t).Wire(q, vendors.Stamp{}).Header["Stripe-Account"])
}

func TestCheckRead_PassesOnOnlyWhatIsOfTheScope(t *testing.T) {
	t.Parallel()
	scope := ledger.Scope{Customers: []string{"cus_1"}}
	for name, tc := range map[string]struct {
		body   string
		passes bool
	}{
		"an object of the scope":           {objectOf(`"cus_1"`), true},
		"an object of another":             {objectOf(`"cus_2"`), false},
		"an object of another, in full":    {objectOf(`{"id":"cus_2","object":"customer"}`), false},
		"an object of nobody":              {objectOf(`null`), false},
		"the customer":                     {`{"id":"cus_1","object":"customer","metadata":{"customer":"cus_2"}}`, true},
		"another customer":                 {`{"id":"cus_2","object":"customer"}`, false},
		"a customer that was deleted":      {`{"id":"cus_1","object":"customer","deleted":true}`, true},
		"a list of the scope":              {`{"object":"list","data":[` + objectOf(`"cus_1"`) + `]}`, true},
		"an empty list":                    {`{"object":"list","data":[]}`, true},
		"a list with another in it":        {`{"object":"list","data":[` + objectOf(`"cus_1"`) + `,` + objectOf(`"cus_2"`) + `]}`, false},
		"a list with something else in it": {`{"object":"list","data":[{"id":"evt_1","object":"event"}]}`, false},
		"another one expanded within":      {`{"id":"pi_1","object":"payment_intent","customer":"cus_1","invoice":{"id":"in_1","customer":"cus_2"}}`, false},
		"a balance":                        {`{"object":"balance","available":[]}`, false},
		"no object":                        {`[]`, false},
		"no JSON":                          {`<html>`, false},
		"nothing":                          {``, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := newProfile(t).CheckRead(vendors.Request{}, answer(200, tc.body), scope)
			if tc.passes {
				require.NoError(t, err)
				return
			}
			requireRefusal(t, err, vendors.ScopeDenied, "customer")
			require.NoError(t, newProfile(t).CheckRead(vendors.Request{}, answer(200, tc.body), ledger.Scope{}), "without a scope")
		})
	}
	require.NoError(t, newProfile(t).CheckRead(vendors.Request{}, answer(404, `{"error":{}}`), scope))
}

func TestCheckScope_RefusesWhatNamesNobody(t *testing.T) {
	t.Parallel()
	many := make([]string, 2001)
	for name, scope := range map[string]ledger.Scope{
		"a customer that is none":  {Customers: []string{"pi_1"}},
		"an empty customer":        {Customers: []string{""}},
		"a prefix alone":           {Customers: []string{"cus_"}},
		"a pattern":                {Customers: []string{"cus_*"}},
		"a customer twice":         {Customers: []string{"cus_1", "cus_1"}},
		"an account that is none":  {Accounts: []string{"cus_1"}},
		"fees without an account":  {ApplicationFees: true},
		"more than can be gone by": {Customers: many},
	} {
		require.Error(t, newProfile(t).CheckScope(scope), name)
	}
	require.NoError(t, newProfile(t).CheckScope(platform()))
	require.NoError(t, newProfile(t).CheckScope(ledger.Scope{Customers: []string{"cus_1", "cus_2"}}))
}
