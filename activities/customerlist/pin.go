package customerlist

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Pin reads the whole list, checks every line, and returns what identifies it.
//
// A list that cannot be used is an *Error, with the line where there is one; a
// file that cannot be opened is the operating system's error.
func Pin(ctx context.Context, source Source) (Pinned, error) {
	if err := source.check(); err != nil {
		return Pinned{}, err
	}
	if source.Path == "" {
		return pinGenerated(ctx, source)
	}
	var total money.USD
	seen := make(map[string]int)
	scan, err := scanFile(ctx, source.Path, io.Discard, func(it item) error {
		if !source.AllowDuplicates {
			if first, twice := seen[it.customer.ID]; twice {
				return &Error{Source: source.Path, Line: it.line, Problem: fmt.Sprintf(
					"the customer is already on line %d; remove one, or allow duplicates to charge both", first)}
			}
			seen[it.customer.ID] = it.line
		}
		return addCents(&total, it.customer.AmountCents)
	})
	if err != nil {
		return Pinned{}, err
	}
	return Pinned{SHA256: scan.sha256, Count: scan.count, TotalUSD: total}, nil
}

// pinGenerated hashes the generated lines, not the seed, so that a change of the
// generator between two worker versions is noticed as a changed list.
func pinGenerated(ctx context.Context, source Source) (Pinned, error) {
	var total money.USD
	hash := sha256.New()
	for i := range source.Generate {
		if i%1024 == 0 && ctx.Err() != nil {
			return Pinned{}, context.Cause(ctx)
		}
		made := generatedContact(source.Seed, i)
		c := made.Customer
		if _, err := fmt.Fprintf(hash, "%s,%s,%d,%s,%s,%s\n", c.ID, c.PaymentMethod, c.AmountCents, c.Currency, made.Email, made.Phone); err != nil {
			return Pinned{}, err
		}
		if err := addCents(&total, c.AmountCents); err != nil {
			return Pinned{}, err
		}
	}
	return Pinned{SHA256: hex.EncodeToString(hash.Sum(nil)), Count: source.Generate, TotalUSD: total}, nil
}

func (s Source) check() error {
	switch {
	case s.Path == "" && s.Generate == 0:
		return &Error{Source: "customer list", Problem: "name a file, or how many customers to generate"}
	case s.Path != "" && s.Generate != 0:
		return &Error{Source: s.Path, Problem: "name either a file or how many customers to generate, not both"}
	case s.Generate < 0 || s.Generate > MaxCustomers:
		return &Error{Source: "customer list", Problem: fmt.Sprintf("%d customers cannot be generated, only 1 to %d", s.Generate, MaxCustomers)}
	}
	return nil
}

func addCents(total *money.USD, cents int64) error {
	amount, err := money.Cents(cents)
	if err != nil {
		return err
	}
	*total, err = money.Add(*total, amount)
	return err
}
