package stripe

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

var _ vendors.Concealer = (*Profile)(nil)

// payable is the member by which a PaymentIntent is confirmed with no more than
// the account's publishable key, with a card that its customer has saved too.
// https://docs.stripe.com/api/payment_intents/object#payment_intent_object-client_secret
const payable = "client_secret"

// Conceal keeps client secrets of PaymentIntents out of answers to calls that hold
// nothing for them: what is paid by one would slip past the meter.
func (*Profile) Conceal(s vendors.Sent, a vendors.Answer) vendors.Answer {
	if !bytes.Contains(a.Body, []byte(payable)) || holdsPayment(s) {
		return a
	}
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		a.Body = nil // nobody could read it but for the secret
		return a
	}
	if !dropSecrets(tree) {
		return a
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(tree) // what was decoded can be encoded
	a.Body = b.Bytes()
	return a
}

// holdsPayment reports whether a call holds an amount for as long as its
// PaymentIntent can be paid. A creation off session gives it back with a decline.
func holdsPayment(s vendors.Sent) bool {
	op, known := named(s.Operation)
	return known && op.object == "payment_intent" && slices.Contains([]effect{makes, moves}, op.effectOf(s)) && !offSession(s)
}

// dropSecrets reports whether it found any, at whatever depth.
func dropSecrets(value any) (found bool) {
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			found = dropSecrets(one) || found
		}
	case map[string]any:
		for name, member := range v {
			if text, ok := member.(string); ok && name == payable && strings.HasPrefix(text, "pi_") {
				delete(v, name)
				found = true
				continue
			}
			found = dropSecrets(member) || found
		}
	}
	return found
}
