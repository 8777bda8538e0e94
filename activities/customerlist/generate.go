package customerlist

import (
	"fmt"
	"strconv"
)

const (
	// declineEvery: one customer in each block of this many has a card that the
	// vendor declines, which makes 4 %.
	declineEvery = 25
	// missingEvery: one in each block of this many has a payment method that the
	// vendor does not know, which makes 0.4 %.
	missingEvery = 250
	// missingWithin keeps the unknown payment method of a block near its start, so
	// that a list of a hundred has one.
	missingWithin = 100
)

// generated makes up the i-th customer of a seed. It depends on nothing but the
// two, so that any page can be made without those before it.
func generated(seed int64, i int) Customer {
	c := Customer{
		ID:            fmt.Sprintf("cus_sim_%06d", i+1),
		PaymentMethod: "pm_card_visa",
		AmountCents:   100 + int64(draw(seed, "amount", i)%3901), // $1.00 to $40.00
		Currency:      "usd",
	}
	if i == missingAt(seed, i/missingEvery) {
		c.PaymentMethod = fmt.Sprintf("pm_missing_%06d", i+1)
		return c
	}
	if i == declineAt(seed, i/declineEvery) {
		methods := [...]string{"pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds", "pm_card_authenticationRequired"}
		c.PaymentMethod = methods[draw(seed, "method", i)%uint64(len(methods))]
	}
	return c
}

func declineAt(seed int64, block int) int {
	return block*declineEvery + int(draw(seed, "decline", block)%declineEvery)
}

// missingAt steps aside for a decline at the same place, to keep both shares.
func missingAt(seed int64, block int) int {
	at := block*missingEvery + int(draw(seed, "missing", block)%(missingWithin-1))
	if at == declineAt(seed, at/declineEvery) {
		at++
	}
	return at
}

// draw is a hash of its arguments, written as text: FNV-1a, then the finaliser of
// SplitMix64. Both are spelt out here, since a list must not change with a library.
func draw(seed int64, purpose string, i int) uint64 {
	text := strconv.AppendInt(make([]byte, 0, 64), seed, 10)
	text = append(append(append(text, '/'), purpose...), '/')
	text = strconv.AppendInt(text, int64(i), 10)
	x := uint64(14695981039346656037)
	for _, b := range text {
		x = (x ^ uint64(b)) * 1099511628211
	}
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}
