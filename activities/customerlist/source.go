package customerlist

import (
	"fmt"
	"regexp"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// MaxCustomers is the longest list that one run takes.
const MaxCustomers = 1_000_000

// MaxAmountCents is the largest amount of one charge: Stripe takes at most
// eight digits for a USD amount (its API reference, "amount" of a PaymentIntent).
const MaxAmountCents = 99_999_999

// Source says where the list comes from: a file, or the generator.
type Source struct {
	Path            string `json:"path,omitempty"`             // absolute path, readable where the activities run
	Generate        int    `json:"generate,omitempty"`         // or: how many customers to make up
	Seed            int64  `json:"seed,omitempty"`             // of the generator; the same seed makes the same list
	AllowDuplicates bool   `json:"allow_duplicates,omitempty"` // accept a customer on more than one line, each is charged
}

// String names the source in messages.
func (s Source) String() string {
	if s.Path != "" {
		return s.Path
	}
	return fmt.Sprintf("generated list of %d, seed %d", s.Generate, s.Seed)
}

// Pinned identifies the exact content of a list.
type Pinned struct {
	SHA256   string    `json:"sha256"`    // of the file's bytes, hexadecimal
	Count    int       `json:"count"`     // customers
	TotalUSD money.USD `json:"total_usd"` // sum of all amounts, micro-USD
}

// Customer is one item to charge.
type Customer struct {
	ID            string `json:"customer"`
	PaymentMethod string `json:"payment_method"`
	AmountCents   int64  `json:"amount_cents"` // US cents, 1 to MaxAmountCents
	Currency      string `json:"currency"`     // "usd"
}

// Contact is a customer and how to reach them. Neither address is ever encoded:
// they are for the activity that writes to them, and for no workflow's history.
type Contact struct {
	Customer Customer `json:"customer"`
	Email    string   `json:"-"` // as the list has it, unchecked; empty: none
	Phone    string   `json:"-"` // the same
}

// Error is a list that cannot be used as it is. Its text is one line that names
// the file, the line if there is one, and what is wrong with it.
type Error struct {
	Source  string // Source.String()
	Line    int    // 1 is the first line of the file; zero if it is not one line's fault
	Problem string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Source + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.Source, e.Line, e.Problem)
}

// Discreet is the error without what stands in the file, which may be a customer's
// address in the wrong column: for histories and logs, where whoever reads on is not
// whoever wrote the list.
func (e *Error) Discreet() string {
	without := *e
	without.Problem = quoted.ReplaceAllString(e.Problem, "(not shown here)")
	return without.Error()
}

// quoted is what quote makes of a value.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)

// ChangedError is a list whose content is no longer what was pinned.
type ChangedError struct {
	Source string
}

func (e *ChangedError) Error() string {
	return e.Source + ": the customer list changed since this run pinned it; restore the file or start another run"
}
