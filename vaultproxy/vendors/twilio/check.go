package twilio

import (
	"fmt"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Check tells a person where in Twilio's console the outcome of a call shows.
func (*Profile) Check(s vendors.Sent, object string) string {
	if object != "" {
		return fmt.Sprintf("look at %s in the Twilio console: its status and price say what it came to", object)
	}
	when := s.FirstSentAt.UTC().Format(time.RFC3339)
	switch s.Operation {
	case messageCreate:
		return fmt.Sprintf("look in the message log of the Twilio console for this text, sent around %s and booked on no other call; it is never sent again by itself", when)
	case callCreate:
		return fmt.Sprintf("look in the call log of the Twilio console for this call, begun around %s and booked on no other call; it is never made again by itself", when)
	}
	return fmt.Sprintf("look in the Verify log of the Twilio console for this verification, begun around %s; it is never begun again by itself", when)
}
