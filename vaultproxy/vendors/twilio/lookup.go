package twilio

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	// before and after bound when, by Twilio's clock, a call can have made what it
	// made: clocks differ, and a send may take its time to arrive.
	before = 5 * time.Minute
	after  = 15 * time.Minute
	// settling is how long a call (voice) is left to whoever made it: its own answer
	// may still be on its way.
	settling = 3 * time.Minute
	// lookUpFor is how long a lost answer is looked for. After that rows of other
	// calls may be pruned, and what they made would look like nobody's.
	lookUpFor = 20 * time.Hour
	maxPages  = 10
	pageSize  = 200
)

// Lookup finds what a call made, by recipient, sender, text and time. What
// another call is booked on is not this one's. Two calls with the same text have
// made the same, and each is matched with one of what is there, once none of them
// is on its way any more. Not to be found proves nothing.
func (p *Profile) Lookup(ctx context.Context, s vendors.Sent, g vendors.Getter) (vendors.Finding, error) {
	if s.Operation != messageCreate && s.Operation != callCreate {
		return vendors.Finding{}, nil // a verification cannot be listed
	}
	sent, err := vendors.ParseExact(string(s.Wire.Body), namesOf(s.Operation))
	if err != nil {
		return vendors.Finding{}, errors.New("what was sent cannot be read")
	}
	books, ok := g.(vendors.Books)
	if !ok {
		return vendors.Finding{}, errors.New("a look-up at Twilio needs the books")
	}
	listed, now, err := p.list(ctx, s, sent, g)
	if err != nil || now.IsZero() || now.Sub(s.FirstSentAt) > lookUpFor {
		return vendors.Finding{}, err
	}
	listed = slices.DeleteFunc(listed, func(c candidate) bool { return !p.made(c.resource, s, sent) })
	if len(listed) == 0 {
		return vendors.Finding{}, nil
	}
	// What is there may be the other one's, whose answer is not on the books yet.
	if twin, err := books.InFlight(ctx); err != nil || twin {
		return vendors.Finding{}, err
	}
	var free []candidate
	for _, c := range listed {
		taken, err := books.Taken(ctx, c.SID)
		if err != nil {
			return vendors.Finding{}, err
		}
		if !taken {
			free = append(free, c)
		}
	}
	return choose(s, free, now), nil
}

func namesOf(operation string) vendors.Names {
	for _, op := range operations() {
		if op.name == operation {
			return op.names
		}
	}
	return nil
}

// candidate is a listed resource that a call may have made.
type candidate struct {
	resource
	raw json.RawMessage
}

// choose takes the oldest: calls with the same text are proved one by one, and
// the ledger books each resource once. What a voice call does is not in the list,
// so that two of one number cannot be told from each other: of these it takes one
// only if nobody else can still claim it.
func choose(s vendors.Sent, free []candidate, now time.Time) vendors.Finding {
	if len(free) == 0 {
		return vendors.Finding{}
	}
	slices.SortFunc(free, func(a, b candidate) int {
		return cmp.Or(at(a.DateCreated).Compare(at(b.DateCreated)), strings.Compare(a.SID, b.SID))
	})
	first := free[0]
	if s.Operation == callCreate && (len(free) > 1 || now.Sub(at(first.DateCreated)) < settling) {
		return vendors.Finding{}
	}
	answer := vendors.Answer{Status: http.StatusCreated, Header: func(string) string { return "" }, Body: first.raw}
	return vendors.Finding{Found: true, Verdict: first.verdict(s), Answer: answer}
}

// made reports whether the resource is what the call asked for, made at a time
// when it can have.
func (p *Profile) made(r resource, s vendors.Sent, sent vendors.Params) bool {
	created := at(r.DateCreated)
	to, _ := sent.Get("To")
	from, hasFrom := sent.Get("From")
	if !r.is(s.Operation, p.account) || r.Direction != "outbound-api" || r.To != to || (hasFrom && text(r.From) != from) ||
		created.IsZero() || created.Before(s.FirstSentAt.Add(-before)) || created.After(s.FirstSentAt.Add(after)) {
		return false
	}
	if s.Operation == callCreate {
		return true
	}
	body, _ := sent.Get("Body")
	service, _ := sent.Get("MessagingServiceSid")
	return r.Body == body && text(r.ServiceSID) == service && r.NumMedia == strconv.Itoa(len(sent.All("MediaUrl")))
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// list reads what was sent to the call's recipient, newest first, back to before
// the call. It does not filter by DateSent, which a message has only once it has
// left. It also returns the time by Twilio's clock, zero if it is not told.
func (p *Profile) list(ctx context.Context, s vendors.Sent, sent vendors.Params, g vendors.Getter) (out []candidate, now time.Time, err error) {
	path := accountsPrefix + p.account + "/Messages.json"
	if s.Operation == callCreate {
		path = accountsPrefix + p.account + "/Calls.json"
	}
	to, _ := sent.Get("To")
	query := vendors.Params{}.With("To", to).With("PageSize", strconv.Itoa(pageSize))
	if from, ok := sent.Get("From"); ok {
		query = query.With("From", from)
	}
	for range maxPages {
		answer, err := g.Get(ctx, path, query)
		if err != nil {
			return nil, now, err
		}
		var page struct {
			Messages []json.RawMessage `json:"messages"`
			Calls    []json.RawMessage `json:"calls"`
			Next     *string           `json:"next_page_uri"`
		}
		items := &page.Messages
		if s.Operation == callCreate {
			items = &page.Calls
		}
		if answer.Status != 200 || json.Unmarshal(answer.Body, &page) != nil || *items == nil {
			return nil, now, &vendors.LookupError{Status: answer.Status}
		}
		now, _ = http.ParseTime(answer.Header("Date"))
		past := len(*items) > 0
		for _, raw := range *items {
			c := candidate{raw: raw}
			if err := json.Unmarshal(raw, &c.resource); err != nil {
				return nil, now, &vendors.LookupError{Status: answer.Status}
			}
			past = past && at(c.DateCreated).Before(s.FirstSentAt.Add(-24*time.Hour))
			out = append(out, c)
		}
		if past || text(page.Next) == "" {
			return out, now, nil
		}
		if query, err = nextPage(*page.Next, path); err != nil {
			return nil, now, err
		}
	}
	return out, now, nil // there may be more; what is here may still be the call's
}

// nextPage reads the query of a list's next page, which must be of the same list.
func nextPage(uri, path string) (vendors.Params, error) {
	target, query, _ := strings.Cut(uri, "?")
	values, err := url.ParseQuery(query)
	if err != nil || target != path {
		return nil, &vendors.LookupError{Status: http.StatusOK}
	}
	var params vendors.Params
	for name := range values {
		params = params.With(name, values.Get(name))
	}
	return params, nil
}
