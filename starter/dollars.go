package main

import (
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// dollars writes an amount for people: "$12,345.60". Machines get money.USD's
// own decimal string.
func dollars(u money.USD) string {
	sign, digits := "", u.String()
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	return sign + "$" + group(whole) + "." + fraction
}

// count writes a number for people: "3,000".
func count(n int) string {
	if n < 0 {
		return "-" + group(strconv.Itoa(n)[1:])
	}
	return group(strconv.Itoa(n))
}

func group(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
