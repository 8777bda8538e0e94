package vendorsim

import (
	"regexp"
	"strings"
)

// TwilioTruth is what the stand-in really did as Twilio. Costs are in micro-USD, and
// contain what is not shown yet.
type TwilioTruth struct {
	// Texts counts the messages that were really made, TextsMicroUSD what they cost.
	Texts         int   `json:"texts"`
	TextsMicroUSD int64 `json:"texts_micro_usd"`
	// Calls and Verifications (each start) likewise.
	Calls                 int   `json:"calls"`
	CallsMicroUSD         int64 `json:"calls_micro_usd"`
	Verifications         int   `json:"verifications"`
	VerificationsMicroUSD int64 `json:"verifications_micro_usd"`
	// Posts counts every POST that arrived, Refusals those that were refused before execution.
	Posts    int `json:"posts"`
	Refusals int `json:"refusals"`
	// Faults counts the faults that struck, by kind. They are in Truth.Faults as well.
	Faults map[string]int `json:"faults"`
	// Sent lists the texts, in order.
	Sent []TextTruth `json:"sent"`
}

// TextTruth is one message that was really made.
type TextTruth struct {
	SID      string `json:"sid"`
	To       string `json:"to"`
	Body     string `json:"body"`
	MicroUSD int64  `json:"micro_usd"`
}

// Lost counts the requests that the stand-in lost without executing them, so that nobody can
// ever find out what became of them.
func (t TwilioTruth) Lost() int {
	lost := 0
	for _, kind := range []Fault{ClosedAfterRead, ConnectionReset, Error503, Error500BeforeCharge, Redirect302} {
		lost += t.Faults[string(kind)]
	}
	return lost
}

func (t *twilio) tell() TwilioTruth {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := TwilioTruth{Posts: t.truth.posts, Refusals: t.truth.refusals, Faults: map[string]int{}, Sent: []TextTruth{}}
	for kind, n := range t.truth.faults {
		out.Faults[string(kind)] = n
	}
	for _, o := range t.objects {
		switch o.kind {
		case "CA":
			out.Calls++
			out.CallsMicroUSD += o.cost()
		case "VE":
			out.Verifications += 1 + o.again
			out.VerificationsMicroUSD += o.cost()
		default:
			out.Texts++
			out.TextsMicroUSD += o.cost()
			out.Sent = append(out.Sent, TextTruth{o.sid, o.to, o.body, o.cost()})
		}
	}
	return out
}

var twilioIdentifier = regexp.MustCompile(`(?i)\b(?:AC|SK)[0-9a-f]{32}\b`)

// LooksLiveTwilio reports whether text contains the identifier of a Twilio account or API key
// that is not one of the stand-in's own: those have eight zeros after their first two letters.
func LooksLiveTwilio(text string) bool {
	for _, found := range twilioIdentifier.FindAllString(text, -1) {
		if !strings.HasPrefix(found[2:], "00000000") {
			return true
		}
	}
	return false
}

var twilioToken = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)

// looksLiveToken reports whether a password has the shape of an auth token or an API key's secret.
func looksLiveToken(password string) bool { return twilioToken.MatchString(password) }

// isTwilioSID reports whether text is an identifier of the stand-in's own accounts or keys.
func isTwilioSID(text, prefix string) bool {
	return strings.HasPrefix(text, prefix+"00000000") && twilioIdentifier.MatchString(text) && len(text) == 34
}
