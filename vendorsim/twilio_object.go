package vendorsim

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// twilioObject is a message, a call or a verification that was really made. What
// became of it follows from its recipient and the clock:
//
//	+…0001  refused: unsubscribed (error 21610), nothing is made
//	+…0002  fails before it is sent: no price; a message costs the fee for failed ones
//	+…0003  is sent and not delivered, at the usual price
//	+…0004  costs a tenth more than the list price, +…0005 a tenth less
type twilioObject struct {
	sid, kind, account      string
	to, from, body, service string
	media                   int
	created                 time.Time
	shownFrom, pricedFrom   time.Time
	again                   int // verifications: starts beyond the first
}

// List prices in micro-USD.
const (
	twilioSegmentPrice = 8_300
	twilioMMSPrice     = 22_000
	twilioMinutePrice  = 14_000
	twilioVerifyPrice  = 58_300
	twilioFailedFee    = 1_000

	twilioSentAfter = time.Second
	twilioCallEnds  = 30 * time.Second
)

// create makes the object, whatever was made before: Twilio does not tell repeats.
// A verification that is still pending is begun again under its identifier.
func (t *twilio) create(o *twilioObject) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.kind == "VE" {
		for _, old := range t.objects {
			if old.kind == "VE" && old.to == o.to && old.service == o.service && o.created.Sub(old.created) < 10*time.Minute {
				old.again++
				return t.view(old)
			}
		}
	}
	o.sid = o.kind + t.hexID()
	o.shownFrom = o.created.Add(t.sim.cfg.TwilioListLag)
	o.pricedFrom = o.created.Add(t.sim.cfg.TwilioPriceDelay)
	if o.kind == "CA" {
		o.pricedFrom = o.pricedFrom.Add(twilioCallEnds)
	}
	t.objects = append(t.objects, o)
	t.bySID[o.sid] = o
	return t.view(o)
}

func (t *twilio) hexID() string {
	id := t.ids.id("")
	return hex.EncodeToString([]byte(id))[:32]
}

// cost is what Twilio charges for it in the end, in micro-USD.
func (o *twilioObject) cost() int64 {
	var list int64
	switch o.kind {
	case "SM":
		list = twilioSegmentPrice * twilioSegments(o.body)
	case "MM":
		list = twilioMMSPrice
	case "CA":
		list = twilioMinutePrice // they last less than a minute
	case "VE":
		return twilioVerifyPrice * int64(1+o.again)
	}
	switch {
	case o.fails() && o.kind == "CA":
		return 0
	case o.fails():
		return twilioFailedFee
	case strings.HasSuffix(o.to, "0004"):
		return list + list/10
	case strings.HasSuffix(o.to, "0005"):
		return list - list/10
	}
	return list
}

func (o *twilioObject) fails() bool { return strings.HasSuffix(o.to, "0002") }

func (o *twilioObject) status(now time.Time) string {
	age := now.Sub(o.created)
	switch {
	case o.kind == "VE":
		return "pending"
	case age < twilioSentAfter:
		return "queued"
	case o.fails():
		return "failed"
	case o.kind == "CA" && age < twilioCallEnds:
		return "in-progress"
	case o.kind == "CA":
		return "completed"
	case strings.HasSuffix(o.to, "0003"):
		return "undelivered"
	case age < 3*twilioSentAfter:
		return "sent"
	}
	return "delivered"
}

// view is the object as the API shows it now.
func (t *twilio) view(o *twilioObject) map[string]any {
	now := t.sim.cfg.Now()
	view := map[string]any{
		"sid": o.sid, "account_sid": o.account, "to": o.to, "status": o.status(now),
		"date_created": twilioDate(o.created), "date_updated": twilioDate(o.created),
	}
	if o.kind == "VE" {
		view["service_sid"], view["channel"], view["valid"] = o.service, "sms", false
		view["date_created"], view["date_updated"] = o.created.UTC().Format(time.RFC3339), o.created.UTC().Format(time.RFC3339)
		return view
	}
	view["from"], view["direction"], view["price"], view["price_unit"] = optionalText(o.from), "outbound-api", nil, "USD"
	if !now.Before(o.pricedFrom) && !o.fails() {
		view["price"] = fmt.Sprintf("-%d.%06d", o.cost()/1_000_000, o.cost()%1_000_000)
	}
	if o.kind != "CA" {
		view["body"], view["num_media"], view["num_segments"] = o.body, strconv.Itoa(o.media), strconv.FormatInt(twilioSegments(o.body), 10)
		view["messaging_service_sid"], view["error_code"], view["error_message"] = optionalText(o.service), nil, nil
		view["date_sent"] = nil
		if now.Sub(o.created) >= twilioSentAfter && !o.fails() {
			view["date_sent"] = twilioDate(o.created.Add(twilioSentAfter))
		}
	}
	return view
}

func optionalText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// read serves a GET: one object, or a page of a list.
func (t *twilio) read(r *http.Request, account string) (any, *twilioError) {
	missing := &twilioError{http.StatusNotFound, 20404, "the requested resource was not found"}
	if r.Method != http.MethodGet {
		return nil, missing
	}
	segments := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(segments) == 4 && (segments[3] == "Messages.json" || segments[3] == "Calls.json"):
		return t.list(r, account, segments[3] == "Calls.json")
	case len(segments) == 5:
		o := t.bySID[strings.TrimSuffix(segments[4], ".json")]
		if o == nil || (segments[0] != "v2" && o.account != account) {
			return nil, missing
		}
		return t.view(o), nil
	}
	return nil, missing
}

// list shows the newest first. An object is in there only once the lag is over.
func (t *twilio) list(r *http.Request, account string, calls bool) (any, *twilioError) {
	query := r.URL.Query()
	size, number := 50, 0
	if text := query.Get("PageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, twilioInvalid(20001, "PageSize must be from 1 to 1000")
		}
		size = n
	}
	if text := query.Get("Page"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, twilioInvalid(20001, "Page must be a number")
		}
		number = n
	}
	now := t.sim.cfg.Now()
	found := []map[string]any{}
	for _, o := range slices.Backward(t.objects) {
		if o.account == account && o.kind != "VE" && (o.kind == "CA") == calls && !now.Before(o.shownFrom) && matchesTwilio(o, query, now) {
			found = append(found, t.view(o))
		}
	}
	name := "messages"
	if calls {
		name = "calls"
	}
	from, to := min(number*size, len(found)), min((number+1)*size, len(found))
	view := map[string]any{name: found[from:to], "page": number, "page_size": size, "next_page_uri": nil, "uri": r.URL.RequestURI()}
	if to < len(found) {
		query.Set("Page", strconv.Itoa(number+1))
		query.Set("PageToken", "PA"+found[to]["sid"].(string))
		view["next_page_uri"] = r.URL.Path + "?" + query.Encode()
	}
	return view, nil
}

func matchesTwilio(o *twilioObject, query url.Values, now time.Time) bool {
	if to := query.Get("To"); to != "" && to != o.to {
		return false
	}
	if from := query.Get("From"); from != "" && from != o.from {
		return false
	}
	day := o.created.UTC().Format(time.DateOnly)
	sent := now.Sub(o.created) >= twilioSentAfter
	for name, holds := range map[string]func(string) bool{
		"DateSent": func(d string) bool { return day == d }, "DateSent<": func(d string) bool { return day <= d },
		"DateSent>": func(d string) bool { return day >= d },
	} {
		if d := query.Get(name); d != "" && (!sent || !holds(d[:min(len(d), len(time.DateOnly))])) {
			return false
		}
	}
	return true
}
