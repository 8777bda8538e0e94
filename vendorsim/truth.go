package vendorsim

// Statuses of a ChargeTruth.
const (
	TruthSucceeded       = "succeeded"        // money was taken; CapturedAmount says how much
	TruthRequiresCapture = "requires_capture" // money is held at the card and not yet taken
	TruthProcessing      = "processing"       // the bank has not said yet
	TruthCanceled        = "canceled"         // held money was given back untouched
	TruthFailed          = "failed"           // a processing charge that did not come through
)

// ChargeTruth is one charge that was really made. Amounts are minor units of Currency.
type ChargeTruth struct {
	PaymentIntent  string            `json:"payment_intent"`
	Charge         string            `json:"charge"`
	Customer       string            `json:"customer"`
	Amount         int64             `json:"amount"`
	Currency       string            `json:"currency"`
	Status         string            `json:"status"`
	CapturedAmount int64             `json:"captured_amount"`
	RefundedAmount int64             `json:"refunded_amount"`
	Metadata       map[string]string `json:"metadata"`
	IdempotencyKey string            `json:"idempotency_key"`
	Created        int64             `json:"created"` // Unix seconds by the stand-in's clock
}

// Truth is what the stand-in really did, as opposed to what its answers said. It is the body of
// GET /sim/truth.
type Truth struct {
	// SucceededTotalMicroUSD is the money taken in US dollars, before refunds, in micro-USD.
	SucceededTotalMicroUSD int64 `json:"succeeded_total_micro_usd"`
	// RefundedTotalMicroUSD is the money given back in US dollars, in micro-USD.
	RefundedTotalMicroUSD int64 `json:"refunded_total_micro_usd"`
	// HeldTotalMicroUSD is authorized, uncaptured or processing money in US dollars, in micro-USD.
	HeldTotalMicroUSD int64 `json:"held_total_micro_usd"`
	// SucceededMinor is the money taken by currency, in its minor units, before refunds.
	SucceededMinor map[string]int64 `json:"succeeded_minor"`
	// Charges counts charges that took money, Declined the attempts that were declined.
	Charges  int `json:"charges"`
	Declined int `json:"declined"`
	// PaymentIntents counts the PaymentIntents created, confirmed or not.
	PaymentIntents int `json:"payment_intents"`
	// PerCustomer counts charges that took money by customer; more than one where one was
	// due is a duplicate charge.
	PerCustomer map[string]int `json:"per_customer"`

	// Posts counts every POST to a vendor path, Replays those answered from a stored answer.
	Posts           int `json:"posts"`
	Replays         int `json:"replays"`
	PostsWithoutKey int `json:"posts_without_key"`
	// KeyConflicts counts answers "key in use", KeyMismatches answers "same key, other request".
	KeyConflicts  int `json:"key_conflicts"`
	KeyMismatches int `json:"key_mismatches"`
	// Refusals counts requests refused before execution for any other reason.
	Refusals int `json:"refusals"`
	// Sends counts the POSTs that arrived under each idempotency key.
	Sends map[string]int `json:"sends"`
	// Faults counts the faults that struck, by kind.
	Faults map[string]int `json:"faults"`

	// LeakedVaultKeys, LeakedTollgateHeaders and RefusedLiveKeys count requests that carried
	// what a vendor should never see. RedirectsFollowed counts clients that followed Redirect302.
	LeakedVaultKeys       int `json:"leaked_vault_keys"`
	LeakedTollgateHeaders int `json:"leaked_tollgate_headers"`
	RefusedLiveKeys       int `json:"refused_live_keys"`
	RedirectsFollowed     int `json:"redirects_followed"`

	// Charged lists every charge that took, held or was about to take money, in order.
	Charged []ChargeTruth `json:"charged"`

	// Emails counts the e-mails sent, EmailRecipients those who got them, each as often as
	// an e-mail names them. EmailsPerRecipient tells them apart by bare address.
	Emails             int            `json:"emails"`
	EmailRecipients    int            `json:"email_recipients"`
	EmailsPerRecipient map[string]int `json:"emails_per_recipient"`
	// Emailed lists every e-mail sent, in order.
	Emailed []EmailTruth `json:"emailed"`

	// Twilio is what was done as Twilio; it has no part in the counts above but Faults and the leaks.
	Twilio TwilioTruth `json:"twilio"`
}

// microUSDPerCent converts Stripe's minor unit of usd.
const microUSDPerCent = 10_000

// truth folds the journal.
func (j *journal) truth() Truth {
	events, emails, sends := j.snapshot()
	t := Truth{
		SucceededMinor:        map[string]int64{},
		PerCustomer:           map[string]int{},
		Declined:              int(j.declined.Load()),
		PaymentIntents:        int(j.intents.Load()),
		Posts:                 int(j.posts.Load()),
		Replays:               int(j.replays.Load()),
		PostsWithoutKey:       int(j.postsWithoutKey.Load()),
		KeyConflicts:          int(j.keyConflicts.Load()),
		KeyMismatches:         int(j.keyMismatches.Load()),
		Refusals:              int(j.refusals.Load()),
		Sends:                 sends,
		Faults:                j.faultCounts(),
		LeakedVaultKeys:       int(j.leakedVaultKeys.Load()),
		LeakedTollgateHeaders: int(j.leakedTollgate.Load()),
		RefusedLiveKeys:       int(j.refusedLiveKeys.Load()),
		RedirectsFollowed:     int(j.redirectsFollowed.Load()),
		Charged:               foldCharges(events),
	}
	for i := range t.Charged {
		t.add(&t.Charged[i])
	}
	t.addEmails(emails)
	return t
}

// add counts one charge into the totals.
func (t *Truth) add(c *ChargeTruth) {
	if c.CapturedAmount > 0 {
		t.Charges++
		if c.Customer != "" {
			t.PerCustomer[c.Customer]++
		}
		t.SucceededMinor[c.Currency] += c.CapturedAmount
	}
	if c.Currency != "usd" {
		return
	}
	t.SucceededTotalMicroUSD += c.CapturedAmount * microUSDPerCent
	t.RefundedTotalMicroUSD += c.RefundedAmount * microUSDPerCent
	if c.Status == TruthRequiresCapture || c.Status == TruthProcessing {
		t.HeldTotalMicroUSD += c.Amount * microUSDPerCent
	}
}

// foldCharges replays the journal into the present state of every charge.
func foldCharges(events []event) []ChargeTruth {
	charges := make([]ChargeTruth, 0, len(events))
	at := make(map[string]int, len(events))
	for _, e := range events {
		if e.opened != nil {
			at[e.charge] = len(charges)
			charges = append(charges, *e.opened)
		}
		c := &charges[at[e.charge]]
		switch e.kind {
		case eventCharged, eventSettled, eventCaptured:
			c.Status = TruthSucceeded
			c.CapturedAmount = e.amount
		case eventAuthorized:
			c.Status = TruthRequiresCapture
		case eventPending:
			c.Status = TruthProcessing
		case eventFailed:
			c.Status = TruthFailed
		case eventReleased:
			c.Status = TruthCanceled
		case eventRefunded:
			c.RefundedAmount += e.amount
		}
	}
	return charges
}
