package stripe_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const intents = "/v1/payment_intents"

func TestParse_ReadsFormAndJSONToTheSameRequest(t *testing.T) {
	t.Parallel()
	p := newProfile(t)
	fromForm, err := p.Parse(form(intents, "currency=usd&amount=4900&metadata[order]=7&confirm=true"))
	require.NoError(t, err)

	raw := form(intents, `{"amount":4900,"confirm":true,"currency":"usd","metadata":{"order":"7"}}`)
	raw.ContentType = "application/json; charset=utf-8"
	fromJSON, err := p.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, fromForm, fromJSON)
	require.False(t, fromForm.Read())
}

func TestParse_TakesWritesThatItMeters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ path, body string }{
		"create with everything": {intents, "amount=1&currency=usd&automatic_payment_methods[enabled]=true&capture_method=manual&confirm=true" +
			"&confirmation_method=automatic&customer=cus_1&description=x&error_on_requires_action=true&expand[]=latest_charge" +
			"&mandate=m&mandate_data[customer_acceptance][type]=offline&metadata[a]=b&off_session=true&payment_method=pm_1" +
			"&payment_method_configuration=pmc_1&payment_method_data[type]=card&payment_method_options[card][request_three_d_secure]=any" +
			"&payment_method_types[]=card&radar_options[session]=rse_1&receipt_email=a@b.c&return_url=https://x.y&setup_future_usage=off_session" +
			"&shipping[name]=n&statement_descriptor=d&statement_descriptor_suffix=s&use_stripe_sdk=true"},
		"confirm without a body":      {intents + "/pi_1/confirm", ""},
		"confirm with expand":         {intents + "/pi_1/confirm", "expand[0]=latest_charge&payment_method=pm_card_visa"},
		"capture":                     {intents + "/pi_1/capture", "amount_to_capture=5&final_capture=true"},
		"cancel":                      {intents + "/pi_1/cancel", "cancellation_reason=abandoned"},
		"charge":                      {"/v1/charges", "amount=5&currency=usd&source=tok_visa&capture=false"},
		"capture of a charge":         {"/v1/charges/ch_1/capture", "amount=5"},
		"refund":                      {"/v1/refunds", "charge=ch_1&amount=5&reason=duplicate"},
		"metadata named nearly as us": {intents, "amount=1&currency=usd&metadata[toll]=x&metadata[not_tollgate]=y"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newProfile(t).Parse(form(test.path, test.body))
			require.NoError(t, err)
		})
	}
}

func TestParse_TakesReadsWithAQuery(t *testing.T) {
	t.Parallel()
	p := newProfile(t)
	r, err := p.Parse(vendors.Raw{
		Method: "GET", Path: intents, Query: "limit=3&created[gte]=5&expand[]=data.customer", Header: http.Header{}.Get,
	})
	require.NoError(t, err)
	require.True(t, r.Read())

	q, err := p.Meter(t.Context(), r, &account{})
	require.NoError(t, err)
	require.Zero(t, q.Price)
	w := p.Wire(q, vendors.Stamp{CallID: "call_1", Run: "run"})
	require.Equal(t, "GET", w.Method)
	require.Equal(t, intents+"?created%5Bgte%5D=5&expand%5B%5D=data.customer&limit=3", w.Target)
	require.Empty(t, w.Body)
	require.Empty(t, w.ContentType)
}

func TestParse_RefusesOperationsThatItDoesNotMeter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ method, path string }{
		{"POST", "/v1/subscriptions"}, {"POST", "/v1/subscriptions/sub_1"}, {"POST", "/v1/subscription_items"},
		{"POST", "/v1/checkout/sessions"}, {"POST", "/v1/payment_links"}, {"POST", "/v1/invoices/in_1"}, {"POST", "/v1/invoices/in_1/send"},
		{"POST", "/v1/quotes"}, {"POST", "/v1/quotes/qt_1/accept"}, {"POST", "/v1/accounts"}, {"POST", "/v1/tokens"},
		{"POST", "/v1/payouts/po_1/reverse"}, {"POST", "/v1/invoiceitems/ii_1"}, {"POST", "/v1/customers/cus_1/sources"},
		{"POST", "/v1/customers/cus_1/balance_transactions"}, {"POST", "/v1/transfers/po_1/reversals"}, {"POST", "/v1/payouts/tr_1/cancel"},
		{"POST", intents + "/pi_1/apply_customer_balance"}, {"POST", intents + "/pi_1/capture/again"},
		{"POST", intents + "/ch_1/capture"}, {"POST", intents + "/search"}, {"POST", "/v1/charges/pi_1/capture"},
		{"POST", "/v1/charges/ch_1/refund"}, {"POST", "/v1/charges/ch_1/refunds"}, {"POST", "/v1/"}, {"POST", "/v1/Payment_intents"},
		{"DELETE", "/v1/customers/cus_1"}, {"DELETE", intents + "/pi_1"}, {"DELETE", "/v1/invoices/in_1"},
		{"POST", "/v2/core/events"}, {"GET", "/v2/core/events"}, {"POST", "/v1"}, {"POST", "/v1x/payment_intents"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			raw := form(test.path, "")
			raw.Method = test.method
			_, err := newProfile(t).Parse(raw)
			requireRefusal(t, err, vendors.Unmetered, "")
		})
	}
}

func TestParse_RefusesParametersThatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	const create = "amount=1&currency=usd&"
	for name, test := range map[string]struct{ path, body, code, param string }{
		"an unknown one":                           {intents, create + "tip=1", vendors.Invalid, "tip"},
		"one of another operation":                 {intents + "/pi_1/confirm", "amount=5", vendors.Invalid, "amount"},
		"one of a newer version":                   {intents + "/pi_1/confirm", "amount_to_confirm=5", vendors.Invalid, "amount_to_confirm"},
		"details that add up to another amount":    {intents, create + "amount_details[tax]=5", vendors.Invalid, "amount_details"},
		"the amount as a list":                     {intents, "amount[]=1&currency=usd", vendors.Ambiguous, "amount"},
		"the amount as a numbered list":            {intents, "amount[0]=1&currency=usd", vendors.Ambiguous, "amount"},
		"the amount with a member":                 {intents, "amount[value]=1&currency=usd", vendors.Ambiguous, "amount"},
		"a scalar list of methods":                 {intents, create + "payment_method_types=card", vendors.Ambiguous, "payment_method_types"},
		"metadata as a value":                      {intents, create + "metadata=", vendors.Ambiguous, "metadata"},
		"card data in a source":                    {"/v1/charges", create + "source[number]=4242", vendors.Ambiguous, "source"},
		"our stamp":                                {intents, create + "metadata[tollgate_call]=call_2", vendors.Invalid, "metadata"},
		"our stamp in capitals":                    {intents, create + "metadata[Tollgate_Call]=call_2", vendors.Invalid, "metadata"},
		"a stamp of ours to come":                  {intents, create + "metadata[tollgate]=x", vendors.Invalid, "metadata"},
		"our stamp on a capture":                   {intents + "/pi_1/capture", "metadata[tollgate_run]=x", vendors.Invalid, "metadata"},
		"our stamp on a refund":                    {"/v1/refunds", "charge=ch_1&metadata[tollgate_item]=x", vendors.Invalid, "metadata"},
		"our stamp with a member":                  {intents, create + "metadata[tollgate_call][x]=y", vendors.Invalid, "metadata"},
		"a capture that leaves the rest open":      {intents + "/pi_1/capture", "amount_to_capture=1&final_capture=false", vendors.Unmetered, "final_capture"},
		"a capture that may leave the rest open":   {intents + "/pi_1/capture", "amount_to_capture=1&final_capture=", vendors.Unmetered, "final_capture"},
		"a charge for another account":             {"/v1/charges", create + "destination[account]=acct_1", vendors.ScopeDenied, "destination"},
		"a charge with a fee":                      {"/v1/charges", create + "application_fee=1", vendors.ScopeDenied, "application_fee"},
		"a refund that pulls a transfer back":      {"/v1/refunds", "charge=ch_1&reverse_transfer=true", vendors.ScopeDenied, "reverse_transfer"},
		"a refund that pulls a fee back":           {"/v1/refunds", "charge=ch_1&refund_application_fee=true", vendors.ScopeDenied, "refund_application_fee"},
		"a parameter twice":                        {intents, create + "amount=100", vendors.Ambiguous, ""},
		"a refund from somebody's own balance":     {"/v1/refunds", "origin=customer_balance&customer=cus_1&amount=5", vendors.Invalid, "customer"},
		"a cancel with an amount to be understood": {intents + "/pi_1/cancel", "amount=5", vendors.Invalid, "amount"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newProfile(t).Parse(form(test.path, test.body))
			requireRefusal(t, err, test.code, test.param)
		})
	}
}

// Whoever has a card's number pays by it, past the proxy.
func TestParse_RefusesReadsOfWhatPaysByItself(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"a card's number":            "/v1/issuing/cards/ic_1?expand[]=number",
		"its security code":          "/v1/issuing/cards/ic_1?expand[0]=cvc",
		"a number within a list":     "/v1/issuing/authorizations?expand[]=data.card.number",
		"an account's number":        "/v1/treasury/financial_accounts/fa_1?expand[]=financial_addresses.aba.account_number",
		"a stored secret":            "/v1/apps/secrets/find?name=x&expand[]=payload",
		"a number beside a customer": "/v1/issuing/cards/ic_1?expand[]=cardholder&expand[]=number",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, query, _ := strings.Cut(target, "?")
			_, err := newProfile(t).Parse(vendors.Raw{Method: "GET", Path: path, Query: query, Header: http.Header{}.Get})
			requireRefusal(t, err, vendors.Unmetered, "expand")
		})
	}
	_, err := newProfile(t).Parse(vendors.Raw{Method: "GET", Path: "/v1/charges/ch_1", Query: "expand[]=customer", Header: http.Header{}.Get})
	require.NoError(t, err)
}

func TestParse_RefusesWhatGivesTheSameBodyAnotherMeaning(t *testing.T) {
	t.Parallel()
	const body = "amount=1&currency=usd"
	for name, test := range map[string]struct {
		change func(*vendors.Raw)
		code   string
	}{
		"another version":            {header("Stripe-Version", "2020-08-27"), vendors.Invalid},
		"a version of a beta":        {header("Stripe-Version", "2023-10-16; x_beta=v1"), vendors.Invalid},
		"an account that is none":    {header("Stripe-Account", "acct_1,acct_2"), vendors.Ambiguous},
		"an account in capitals":     {header("Stripe-Account", "ACCT_1"), vendors.Ambiguous},
		"a path for an account":      {header("Stripe-Account", "acct_1/../acct_2"), vendors.Ambiguous},
		"another context":            {header("Stripe-Context", "acct_1"), vendors.ScopeDenied},
		"a query beside the body":    {func(r *vendors.Raw) { r.Query = "amount=100" }, vendors.Ambiguous},
		"a query that only expands":  {func(r *vendors.Raw) { r.Query = "expand[]=customer" }, vendors.Ambiguous},
		"a read with a body":         {func(r *vendors.Raw) { r.Method = "GET" }, vendors.Ambiguous},
		"a method in small letters":  {func(r *vendors.Raw) { r.Method = "post" }, vendors.Ambiguous},
		"HEAD":                       {func(r *vendors.Raw) { r.Method, r.Body = "HEAD", nil }, vendors.Ambiguous},
		"PUT":                        {func(r *vendors.Raw) { r.Method = "PUT" }, vendors.Ambiguous},
		"no content type":            {contentType(""), vendors.Ambiguous},
		"a broken content type":      {contentType("application/json;;"), vendors.Ambiguous},
		"a multipart body":           {contentType("multipart/form-data; boundary=x"), vendors.Ambiguous},
		"a text":                     {contentType("text/plain"), vendors.Ambiguous},
		"two content types":          {contentType("application/json, application/x-www-form-urlencoded"), vendors.Ambiguous},
		"another charset":            {contentType("application/x-www-form-urlencoded; charset=utf-7"), vendors.Ambiguous},
		"two charsets":               {contentType("application/x-www-form-urlencoded; charset=utf-8; charset=utf-7"), vendors.Ambiguous},
		"a form that is called JSON": {contentType("application/json"), vendors.Ambiguous},
		"JSON that is called a form": {func(r *vendors.Raw) { r.Body = []byte(`{"amount":1,"currency":"usd"}`) }, vendors.Ambiguous},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := form(intents, body)
			test.change(&raw)
			_, err := newProfile(t).Parse(raw)
			requireRefusal(t, err, test.code, "")
		})
	}
}

func TestParse_TakesTheVersionThatItMeters(t *testing.T) {
	t.Parallel()
	raw := form(intents, "amount=1&currency=usd")
	header("Stripe-Version", "2023-10-16")(&raw)
	_, err := newProfile(t).Parse(raw)
	require.NoError(t, err)
}

func header(name, value string) func(*vendors.Raw) {
	return func(r *vendors.Raw) {
		h := http.Header{}
		h.Set(name, value)
		r.Header = h.Get
	}
}

func contentType(v string) func(*vendors.Raw) {
	return func(r *vendors.Raw) { r.ContentType = v }
}
