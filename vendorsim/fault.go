package vendorsim

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Fault is one way of misbehaving towards a request that would otherwise be executed.
type Fault string

// The faults. Those up to ClosedAfterRead make up DefaultFaults.
const (
	// NoFault lets the request through.
	NoFault Fault = ""
	// AnswerLost executes the request and stores its answer, then cuts the connection without
	// sending it.
	AnswerLost Fault = "answer_lost"
	// Error500AfterCharge executes the request, then answers 500 and stores that 500 under the
	// idempotency key, so that every retry is told 500 although the money moved. A request
	// whose execution ends in a refusal is spared; the card goes to the next request.
	Error500AfterCharge Fault = "error_500_after_charge"
	// RateLimited429 answers 429 with Retry-After, executes nothing and stores nothing.
	RateLimited429 Fault = "rate_limited_429"
	// SlowAnswer executes the request and answers after Config.SlowDelay. Its idempotency key
	// counts as in use until then.
	SlowAnswer Fault = "slow_answer"
	// ClosedAfterRead reads the request, executes nothing and closes the connection.
	ClosedAfterRead Fault = "closed_after_read"

	// Error500BeforeCharge answers 500 and stores it under the key without executing.
	Error500BeforeCharge Fault = "error_500_before_charge"
	// Error503 answers 503, executes nothing and stores nothing.
	Error503 Fault = "error_503"
	// TruncatedAnswer executes the request, stores its answer and sends half of it.
	TruncatedAnswer Fault = "truncated_answer"
	// Redirect302 executes nothing and redirects to a path of the stand-in that counts who
	// follows (Truth.RedirectsFollowed).
	Redirect302 Fault = "redirect_302"
	// ConnectionReset executes nothing and resets the connection (TCP RST) instead of closing it.
	ConnectionReset Fault = "connection_reset"
)

// Kinds lists every fault, NoFault excepted, the default ones first.
func Kinds() []Fault {
	return []Fault{
		AnswerLost, Error500AfterCharge, RateLimited429, SlowAnswer, ClosedAfterRead,
		Error500BeforeCharge, Error503, TruncatedAnswer, Redirect302, ConnectionReset,
	}
}

// FaultPoint describes a request at the moment when a fault may strike it.
type FaultPoint struct {
	// Operation is the method and path template, such as "POST /v1/payment_intents/{id}/capture".
	Operation string
	// Path is the path as it was requested.
	Path string
	// IdempotencyKey is the caller's key, empty if there was none.
	IdempotencyKey string
	// Attempt counts the requests under this key that got this far, from 1.
	Attempt int
	// Faults counts the faults that have already struck this key.
	Faults int
}

// FaultPlan is a deck of cards: Cards of each kind shuffled into blocks of Block requests, the
// rest of the block being clean. The zero value deals no fault.
type FaultPlan struct {
	// Block is the number of requests that one shuffle of the deck serves.
	Block int
	// Cards is the number of cards of each kind in a block.
	Cards map[Fault]int
}

// DefaultFaults is the plan of the command: each of the five kinds that any client must survive
// once in every 40 requests.
func DefaultFaults() FaultPlan {
	return FaultPlan{Block: 40, Cards: map[Fault]int{
		AnswerLost: 1, Error500AfterCharge: 1, RateLimited429: 1, SlowAnswer: 1, ClosedAfterRead: 1,
	}}
}

// FaultPlanError says why a fault plan is not one.
type FaultPlanError struct{ Reason string }

func (e *FaultPlanError) Error() string { return "fault plan: " + e.Reason }

// maxBlock bounds the memory of a deck.
const maxBlock = 100_000

func (p FaultPlan) validate() error {
	total := 0
	for kind, n := range p.Cards {
		if !slices.Contains(Kinds(), kind) {
			return &FaultPlanError{fmt.Sprintf("unknown kind %q, known are %s", kind, kindNames())}
		}
		if n < 0 || n > maxBlock {
			return &FaultPlanError{fmt.Sprintf("%d cards of %s, want 0 to %d", n, kind, maxBlock)}
		}
		total += n
	}
	switch {
	case p.Block < 0 || p.Block > maxBlock:
		return &FaultPlanError{fmt.Sprintf("block of %d requests, want 0 to %d", p.Block, maxBlock)}
	case total > p.Block:
		return &FaultPlanError{fmt.Sprintf("%d faults in a block of %d requests", total, p.Block)}
	}
	return nil
}

// ParseFaultPlan reads "default", "none", or kinds with their rates: "answer_lost=0.05,error_503=0.1".
// A rate is a share of requests from 0 to 1 in steps of 0.001; rates together are at most 1.
// Its error is a *FaultPlanError.
func ParseFaultPlan(text string) (FaultPlan, error) {
	switch text {
	case "default":
		return DefaultFaults(), nil
	case "none":
		return FaultPlan{}, nil
	}
	rates := map[Fault]*big.Rat{}
	for part := range strings.SplitSeq(text, ",") {
		name, rate, found := strings.Cut(strings.TrimSpace(part), "=")
		kind := Fault(name)
		if !found || !slices.Contains(Kinds(), kind) {
			return FaultPlan{}, &FaultPlanError{fmt.Sprintf("%q is not default, none or kind=rate with a kind of %s", part, kindNames())}
		}
		if _, twice := rates[kind]; twice {
			return FaultPlan{}, &FaultPlanError{fmt.Sprintf("%s is given twice", kind)}
		}
		r, ok := new(big.Rat).SetString(rate)
		if !ok || len(rate) > 8 || r.Sign() < 0 || r.Cmp(big.NewRat(1, 1)) > 0 {
			return FaultPlan{}, &FaultPlanError{fmt.Sprintf("rate %q of %s is not a number from 0 to 1", rate, kind)}
		}
		rates[kind] = r
	}
	return planOf(rates)
}

// planOf finds the smallest usual block in which every rate is a whole number of cards, so that
// the deck deals exactly what was asked for.
func planOf(rates map[Fault]*big.Rat) (FaultPlan, error) {
	for _, block := range []int{40, 100, 200, 1000} {
		plan := FaultPlan{Block: block, Cards: map[Fault]int{}}
		whole := true
		for kind, rate := range rates {
			cards := new(big.Rat).Mul(rate, big.NewRat(int64(block), 1))
			whole = whole && cards.IsInt()
			plan.Cards[kind] = int(new(big.Int).Quo(cards.Num(), cards.Denom()).Int64())
		}
		if whole {
			return plan, plan.validate()
		}
	}
	return FaultPlan{}, &FaultPlanError{"rates go in steps of 0.001"}
}

func kindNames() string {
	names := make([]string, 0, len(Kinds()))
	for _, kind := range Kinds() {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}
