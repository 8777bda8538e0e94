package twilio

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	// defaultTimeLimit is pinned on a call that names no limit, in seconds.
	defaultTimeLimit = 600
	// maxTimeLimit is Twilio's own default limit, four hours, in seconds.
	maxTimeLimit = 14_400
)

// meterCall prices a call by the minutes that it may last at most, begun ones in
// full. What it may do meanwhile is bounded by its instructions.
func (p *Profile) meterCall(q *vendors.Quote) error {
	body := q.Request.Body
	if from, _ := body.Get("From"); !isE164(from) {
		return refuse(vendors.Invalid, "From", "From must be a phone number such as +14155550100")
	}
	to, _ := body.Get("To")
	rates, region, err := p.destination(to)
	if err != nil {
		return err
	}
	if rates.call == 0 {
		return refuse(vendors.Unmetered, "To", "the rate card has no price for a call to %s", region)
	}
	if err := p.checkInstructions(body); err != nil {
		return err
	}
	limit := int64(defaultTimeLimit)
	if text, ok := body.Get("TimeLimit"); ok {
		if limit, err = parseTimeLimit(text); err != nil {
			return err
		}
	} else {
		q.Request.Body = body.With("TimeLimit", strconv.Itoa(defaultTimeLimit))
	}
	q.Price, err = times(rates.call, (limit+59)/60)
	return err
}

func parseTimeLimit(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > maxTimeLimit || strconv.FormatInt(n, 10) != text {
		return 0, refuse(vendors.Invalid, "TimeLimit", "TimeLimit must be a whole number of seconds from 1 to %d, in plain digits", maxTimeLimit)
	}
	return n, nil
}

// checkInstructions wants to know what the call will do: instructions that come
// along, or from an address that the operator allows.
func (p *Profile) checkInstructions(body vendors.Params) error {
	target, hasURL := body.Get("Url")
	twiml, hasTwiml := body.Get("Twiml")
	switch {
	case hasURL == hasTwiml:
		return refuse(vendors.Invalid, "Twiml", "a call needs either Twiml or Url")
	case hasURL && !slices.Contains(p.callURLs, target):
		return refuse(vendors.ScopeDenied, "Url", "Url is no address that this proxy's operator lets calls take instructions from; send them as Twiml")
	case hasTwiml:
		return checkTwiml(twiml)
	}
	return nil
}

// verbs are the instructions that cost nothing beyond the minutes of the call,
// with the attributes that change nothing about that. Others dial further, record,
// transcribe, pay or send messages; voices other than the basic ones are charged
// by the letter. https://www.twilio.com/docs/voice/twiml
func verbs() map[string][]string {
	return map[string][]string{
		"Response": nil, "Say": {"voice", "language", "loop"}, "Play": {"loop", "digits"}, "Pause": {"length"}, "Hangup": nil,
	}
}

func checkTwiml(text string) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	depth, roots := 0, 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse(vendors.Ambiguous, "Twiml", "Twiml is not well-formed")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := checkVerb(t, depth); err != nil {
				return err
			}
			if depth == 0 {
				roots++
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(t)) != "" {
				return refuse(vendors.Ambiguous, "Twiml", "Twiml has text outside of its Response")
			}
		case xml.ProcInst:
			if t.Target != "xml" {
				return refuse(vendors.Ambiguous, "Twiml", "Twiml has a processing instruction")
			}
		case xml.Directive:
			return refuse(vendors.Ambiguous, "Twiml", "Twiml has a document type")
		}
	}
	if roots != 1 {
		return refuse(vendors.Ambiguous, "Twiml", "Twiml must be one Response")
	}
	return nil
}

func checkVerb(t xml.StartElement, depth int) error {
	attributes, known := verbs()[t.Name.Local]
	if !known || t.Name.Space != "" || (depth == 0) != (t.Name.Local == "Response") || depth > 1 {
		return refuse(vendors.Unmetered, "Twiml",
			"%.40s in Twiml may cost more than the minutes of the call, so it is not metered; Say, Play, Pause and Hangup are", t.Name.Local)
	}
	voice, seen := "", map[string]bool{}
	for _, a := range t.Attr {
		if seen[a.Name.Local] { // no XML, which Go's reader takes all the same
			return refuse(vendors.Ambiguous, "Twiml", "an attribute in Twiml is given twice")
		}
		seen[a.Name.Local] = true
		if a.Name.Space != "" || !slices.Contains(attributes, a.Name.Local) {
			return refuse(vendors.Unmetered, "Twiml", "%.40s of %s in Twiml is not metered", a.Name.Local, t.Name.Local)
		}
		if a.Name.Local == "voice" {
			voice = a.Value
		}
	}
	if t.Name.Local == "Say" && voice != "man" && voice != "woman" {
		return refuse(vendors.Unmetered, "Twiml", "Say must name the voice man or woman: others are charged by the letter")
	}
	return nil
}
