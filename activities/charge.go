package activities

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"github.com/tollgate/tollgate/activities/customerlist"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// ChargeInput is one item to charge.
type ChargeInput struct {
	VaultKey       string                `json:"vault_key"`
	RootWorkflowID string                `json:"root_workflow_id"` // of the run, not of the batch
	Item           int                   `json:"item"`             // position in the pinned list
	Customer       customerlist.Customer `json:"customer"`
	Description    string                `json:"description,omitempty"` // shown by the vendor; equal in every attempt
	Earlier        *Earlier              `json:"earlier,omitempty"`     // of a run that goes on where one ended
}

// ChargeResult is a charge that the vendor took, or took on.
type ChargeResult struct {
	PaymentIntent string    `json:"payment_intent"`
	Status        string    `json:"status"` // succeeded, processing or requires_capture
	AmountUSD     money.USD `json:"amount_usd"`
	Replayed      bool      `json:"replayed,omitempty"` // answered from the ledger: an earlier attempt did it
}

// IdempotencyKey names the one effect that an item may have at the vendor. It
// holds no run ID: a reset or a continue-as-new must find the earlier attempt.
func IdempotencyKey(rootWorkflowID string, item int) string {
	return rootWorkflowID + "-" + strconv.Itoa(item)
}

// ChargeCustomer charges one customer off session, through the vault proxy.
//
// It may be run any number of times for an item: the idempotency key lets one
// attempt have an effect, and every other gets that one's answer.
func (a *Activities) ChargeCustomer(ctx context.Context, in ChargeInput) (ChargeResult, error) {
	result, replayed, err := a.send(ctx, in, 0)
	if in.Earlier == nil || !replayed || ErrorType(err) != TypeChargeDeclined {
		return result, err
	}
	number, err2 := a.retryNumber(ctx, in)
	if err2 != nil {
		return ChargeResult{}, err2
	}
	if number == 0 {
		return result, err
	}
	result, _, err = a.send(ctx, in, number)
	return result, err
}

// send makes one call to the proxy. The bool tells whether the ledger answered it
// with what an earlier call came to.
func (a *Activities) send(ctx context.Context, in ChargeInput, retry int) (_ ChargeResult, replayed bool, _ error) {
	ctx, seen := observe(ctx)
	intent, err := a.paymentIntents(in.VaultKey).New(&stripe.PaymentIntentParams{
		Params: stripe.Params{
			Context:        ctx,
			IdempotencyKey: stripe.String(retryKey(in.RootWorkflowID, in.Item, retry)),
			Headers: http.Header{
				headerItem:       {strconv.Itoa(in.Item)},
				headerWorkflowID: {in.RootWorkflowID},
			},
		},
		Amount:             stripe.Int64(in.Customer.AmountCents),
		Currency:           stripe.String(in.Customer.Currency),
		Customer:           stripe.String(in.Customer.ID),
		PaymentMethod:      stripe.String(in.Customer.PaymentMethod),
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		Confirm:            stripe.Bool(true),
		OffSession:         stripe.Bool(true),
		Description:        optional(in.Description),
	})
	if err != nil {
		err = chargeError(seen, err)
		a.log.DebugContext(ctx, "charge refused", slog.Int("item", in.Item), slog.Int("status", seen.status), slog.Any("error", err))
		return ChargeResult{}, seen.replayed, err
	}
	a.log.DebugContext(ctx, "charge answered", slog.Int("item", in.Item), slog.String("state", string(intent.Status)), slog.Bool("replayed", seen.replayed))
	result, err := chargeResult(intent, seen)
	return result, seen.replayed, err
}

func chargeResult(intent *stripe.PaymentIntent, seen *answer) (ChargeResult, error) {
	switch intent.Status {
	case stripe.PaymentIntentStatusSucceeded, stripe.PaymentIntentStatusProcessing, stripe.PaymentIntentStatusRequiresCapture:
		amount, err := money.Cents(intent.Amount)
		if err != nil {
			return ChargeResult{}, unexpected().applicationError("amount out of range", 0)
		}
		return ChargeResult{
			PaymentIntent: intent.ID, Status: string(intent.Status), AmountUSD: amount, Replayed: seen.replayed,
		}, nil
	case stripe.PaymentIntentStatusRequiresAction:
		// Nobody is there to act: off session this is a refusal by the card's issuer.
		return ChargeResult{}, statusRule(http.StatusPaymentRequired).applicationError("authentication_required", 0)
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		return ChargeResult{}, statusRule(http.StatusPaymentRequired).applicationError(string(intent.Status), 0)
	case stripe.PaymentIntentStatusCanceled, stripe.PaymentIntentStatusRequiresConfirmation:
	}
	return ChargeResult{}, statusRule(seen.status).applicationError("payment intent "+token(string(intent.Status)), 0)
}

// chargeError turns a failed SDK call into a bare application error.
func chargeError(seen *answer, err error) error {
	if !seen.received {
		detail := ""
		var network *net.OpError
		if errors.As(err, &network) {
			detail = network.Error()
		}
		r := rule{errorType: TypeProxyUnreachable, retry: true, text: "the vault proxy did not answer"}
		return r.applicationError(detail, 0)
	}
	if seen.status < http.StatusMultipleChoices {
		r := rule{errorType: TypeProxyUnreachable, retry: true, text: "the vault proxy's answer was cut off"}
		return r.applicationError("", 0)
	}
	var refused *stripe.Error
	if !errors.As(err, &refused) {
		refused = &stripe.Error{}
	}
	if seen.denied != "" {
		return denialError(seen, refused, seen.denied)
	}
	// Without the header, a code of ours in the body still counts.
	if _, ours := denialRule(string(refused.Code)); ours {
		return denialError(seen, refused, string(refused.Code))
	}
	var detail []string
	for _, word := range []string{string(refused.Code), string(refused.DeclineCode), refused.Param} {
		if word = token(word); word != "" {
			detail = append(detail, word)
		}
	}
	return statusRule(seen.status).applicationError(strings.Join(detail, ", "), seen.retryAfter)
}

func denialError(seen *answer, refused *stripe.Error, code string) error {
	r, known := denialRule(code)
	if !known {
		r = unexpected()
	}
	detail := token(code)
	if r.errorType == TypeCapExhausted {
		budget := denialBudget(refused)
		if budget == "per_call" {
			r = rule{errorType: TypePerCallCapExceeded, benign: true, text: "the charge is above the cap for a single call"}
		}
		if budget != "" {
			detail += ", " + budget
		}
	}
	return r.applicationError(detail, seen.retryAfter)
}

// denialBudget reads which budget was full: key/day, key/total, run/total or per_call.
func denialBudget(refused *stripe.Error) string {
	if refused.LastResponse == nil {
		return ""
	}
	var body struct {
		Budget string `json:"budget"`
	}
	if err := json.Unmarshal(refused.LastResponse.RawJSON, &body); err != nil {
		return ""
	}
	scope, window, nested := strings.Cut(body.Budget, "/")
	if nested {
		return token(scope) + "/" + token(window)
	}
	return token(scope)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
