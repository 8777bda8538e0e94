package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/ledger"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

const (
	create     = "messages.create"
	callCreate = "calls.create"
	start      = "verifications.start"

	sid1 = "SM00000000000000000000000000000001"
	sid2 = "SM00000000000000000000000000000002"
)

// message is a message as Twilio shows it, made a second after the first send;
// change replaces members, by pairs of what is written and what is to be.
func message(sid string, change ...string) string {
	return strings.NewReplacer(change...).Replace(fmt.Sprintf(`{"sid":%q,"account_sid":%q,"to":"+14155550123","from":"+14155550100","body":"Paid.",`+
		`"status":"queued","direction":"outbound-api","num_media":"0","messaging_service_sid":null,"price":null,"price_unit":"USD",`+
		`"date_created":"Mon, 23 Nov 2026 12:00:01 +0000","date_updated":"Mon, 23 Nov 2026 12:00:01 +0000"}`, sid, account))
}

func TestJudge_TakesACreatedResourceForCertainAndItsPriceForFinal(t *testing.T) {
	t.Parallel()
	committed := vendors.Verdict{Outcome: ledger.OutcomeCommitted, Reason: "queued", Object: sid1}
	settled := func(amount money.USD) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "queued", Object: sid1, Amount: amount}
	}
	unknown := vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: "answer_not_understood"}
	price := func(text string) string { return message(sid1, `"price":null`, `"price":`+text) }
	for name, test := range map[string]struct {
		operation, body string
		want            vendors.Verdict
	}{
		"no price yet":               {create, message(sid1), committed},
		"an empty price":             {create, price(`""`), committed},
		"a price":                    {create, price(`"-0.00750"`), settled(7_500 * micro)},
		"a price of nothing":         {create, price(`"0"`), settled(0)},
		"a price with many zeros":    {create, price(`"-0.0075000000"`), settled(7_500 * micro)},
		"a part of a micro-USD":      {create, price(`"-0.00750001"`), settled(7_501 * micro)},
		"a price in small letters":   {create, message(sid1, `"price":null,"price_unit":"USD"`, `"price":"-1.5","price_unit":"usd"`), settled(1_500_000 * micro)},
		"a price in another money":   {create, message(sid1, `"price":null,"price_unit":"USD"`, `"price":"-1.5","price_unit":"EUR"`), committed},
		"a price in no money":        {create, message(sid1, `"price":null,"price_unit":"USD"`, `"price":"-1.5","price_unit":null`), committed},
		"a price that is given back": {create, price(`"0.0075"`), committed},
		"a price with an exponent":   {create, price(`"-1e-3"`), committed},
		"a price that is no number":  {create, price(`"free"`), committed},
		"a price as a number":        {create, price(`-0.0075`), unknown},
		"another account's":          {create, strings.ReplaceAll(message(sid1), account, "ACffffffffffffffffffffffffffffffff"), unknown},
		"a resource of another kind": {create, message("CA00000000000000000000000000000001"), unknown},
		"no SID":                     {create, message(""), unknown},
		"no JSON":                    {create, "<html>", unknown},
		"half an answer":             {create, message(sid1)[:90], unknown},
		"a status to come":           {create, message(sid1, `"queued"`, `"On its way!"`), vendors.Verdict{Outcome: ledger.OutcomeCommitted, Reason: "accepted", Object: sid1}},
		"a call":                     {callCreate, message("CA00000000000000000000000000000001"), vendors.Verdict{Outcome: ledger.OutcomeCommitted, Reason: "queued", Object: "CA00000000000000000000000000000001"}},
		"a verification":             {start, message("VE00000000000000000000000000000001"), vendors.Verdict{Outcome: ledger.OutcomeSettled, Reason: "queued", Amount: 8_300 * micro}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newProfile(t).Judge(sent(test.operation, ""), answer(201, test.body, time.Time{})))
		})
	}
}

func TestJudge_TakesOnlyListedRefusalsForProof(t *testing.T) {
	t.Parallel()
	refused := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: reason}
	}
	credentials := vendors.Verdict{Outcome: ledger.OutcomeRefused, Reason: "vendor_credentials", Credentials: true}
	unknown := func(reason string) vendors.Verdict {
		return vendors.Verdict{Outcome: ledger.OutcomeUnknown, Reason: reason}
	}
	for name, test := range map[string]struct {
		status int
		body   string
		want   vendors.Verdict
	}{
		"a refusal":                       {400, `{"code":21211,"message":"private","status":400}`, refused("twilio_21211")},
		"a country that is not permitted": {403, `{"code":21408,"status":403}`, refused("twilio_21408")},
		"an object that is not there":     {404, `{"code":20404,"status":404}`, refused("twilio_20404")},
		"a secret that is refused":        {401, `{"code":20003,"status":401}`, credentials},
		"401 of somebody else":            {401, `<html>`, credentials},
		"a secret that may not":           {403, `{"code":20003,"status":403}`, credentials},
		"an account that is suspended":    {403, `{"code":20005,"status":403}`, credentials},
		"403 of somebody else":            {403, `<html>`, unknown("answer_not_understood")},
		"403 of a gateway":                {403, `{"message":"blocked"}`, unknown("answer_not_understood")},
		"too many requests":               {429, `{"code":20429,"status":429}`, refused("rate_limited")},
		"400 of a gateway":                {400, `{"message":"bad"}`, unknown("answer_not_understood")},
		"400 with another status inside":  {400, `{"code":21211,"status":500}`, unknown("answer_not_understood")},
		"404 of a gateway":                {404, `not found`, unknown("answer_not_understood")},
		"a failure":                       {500, `{"code":20500,"status":500}`, unknown("vendor_error")},
		"a failure that looks a refusal":  {500, `{"code":21211,"status":400}`, unknown("vendor_error")},
		"503":                             {503, `{"code":20503,"status":503}`, unknown("vendor_error")},
		"a redirect":                      {307, message(sid1), unknown("answer_not_understood")},
		"202":                             {202, message(sid1), unknown("answer_not_understood")},
		"409":                             {409, `{"code":20409,"status":409}`, unknown("answer_not_understood")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newProfile(t).Judge(sent(create, ""), answer(test.status, test.body, time.Time{})))
		})
	}
}

const (
	sentText = "Body=Paid.&From=%2B14155550100&To=%2B14155550123"
	listed   = messages + "?From=+14155550100&PageSize=200&To=+14155550123"
)

func page(next string, items ...string) string {
	return fmt.Sprintf(`{"messages":[%s],"next_page_uri":%s}`, strings.Join(items, ","), next)
}

func TestLookup_FindsWhatACallMadeAndNothingElse(t *testing.T) {
	t.Parallel()
	now := firstSent.Add(10 * time.Minute)
	for name, test := range map[string]struct {
		list  string
		taken []string
		now   time.Time
		want  string
	}{
		"the message":                      {page("null", message(sid1)), nil, now, sid1},
		"nothing":                          {page("null"), nil, now, ""},
		"a message of another call":        {page("null", message(sid1)), []string{sid1}, now, ""},
		"one of another call and one free": {page("null", message(sid2), message(sid1)), []string{sid1}, now, sid2},
		"two that may be it":               {page("null", message(sid2, "12:00:01", "12:00:02"), message(sid1)), nil, now, sid1},
		"another text":                     {page("null", message(sid1, "Paid.", "Paid")), nil, now, ""},
		"the same text in another case":    {page("null", message(sid1, "Paid.", "PAID.")), nil, now, ""},
		"another recipient":                {page("null", message(sid1, "0123", "0124")), nil, now, ""},
		"another sender":                   {page("null", message(sid1, "0100", "0101")), nil, now, ""},
		"by a service":                     {page("null", message(sid1, `"messaging_service_sid":null`, `"messaging_service_sid":"`+service+`"`)), nil, now, ""},
		"with a picture":                   {page("null", message(sid1, `"num_media":"0"`, `"num_media":"1"`)), nil, now, ""},
		"a reply":                          {page("null", message(sid1, "outbound-api", "outbound-reply")), nil, now, ""},
		"one that came in":                 {page("null", message(sid1, "outbound-api", "inbound")), nil, now, ""},
		"five minutes before":              {page("null", message(sid1, "12:00:01", "11:54:59")), nil, now, ""},
		"a little before, by their clock":  {page("null", message(sid1, "12:00:01", "11:56:00")), nil, now, sid1},
		"a quarter of an hour after":       {page("null", message(sid1, "12:00:01", "12:15:01")), nil, now, ""},
		"of no date":                       {page("null", message(sid1, `"date_created":"Mon`, `"date_created":"M`)), nil, now, ""},
		"a day later":                      {page("null", message(sid1)), nil, firstSent.Add(21 * time.Hour), ""},
		"by a vendor that tells no time":   {page("null", message(sid1)), nil, time.Time{}, ""},
		"one that has its price":           {page("null", message(sid1, `"price":null`, `"price":"-0.0083"`)), nil, now, sid1},
		"one that has failed":              {page("null", message(sid1, "queued", "failed")), nil, now, sid1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &lists{answers: map[string]string{listed: test.list}, date: test.now, taken: map[string]bool{}}
			for _, sid := range test.taken {
				l.taken[sid] = true
			}
			got, err := newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
			require.NoError(t, err)
			require.False(t, got.Absent, "not to be found proves nothing")
			require.Equal(t, test.want != "", got.Found)
			require.Equal(t, test.want, got.Verdict.Object)
			if got.Found {
				require.Equal(t, 201, got.Answer.Status)
				require.Contains(t, string(got.Answer.Body), test.want)
				require.NotEqual(t, ledger.OutcomeReleased, got.Verdict.Outcome)
			}
		})
	}
}

func TestLookup_WaitsForACallOfTheSameRequestThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	l := &lists{answers: map[string]string{listed: page("null", message(sid1))}, date: firstSent.Add(time.Minute), twin: true}
	got, err := newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
	require.NoError(t, err)
	require.Equal(t, vendors.Finding{}, got)
	l.twin = false
	got, err = newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
	require.NoError(t, err)
	require.Equal(t, sid1, got.Verdict.Object)
}

func TestLookup_PagesAndStopsBeforeTheCall(t *testing.T) {
	t.Parallel()
	second := messages + "?Page=1&PageToken=PA1&To=+14155550123"
	next := func(path string) string { return `"` + path + `?Page=1&PageToken=PA1&To=%2B14155550123"` }
	l := &lists{date: firstSent.Add(time.Minute), answers: map[string]string{
		listed: page(next(messages), message(sid2, "Paid.", "Other")), second: page("null", message(sid1)),
	}}
	got, err := newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
	require.NoError(t, err)
	require.Equal(t, sid1, got.Verdict.Object)
	require.Len(t, l.asked, 2)

	l = &lists{date: firstSent.Add(time.Minute), answers: map[string]string{listed: page(next(messages), message(sid2, "23 Nov", "21 Nov"))}}
	got, err = newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
	require.NoError(t, err)
	require.False(t, got.Found)
	require.Len(t, l.asked, 1, "what comes next is older still")

	for _, path := range []string{"/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Messages.json", "https://example.com" + messages, calls} {
		l = &lists{date: firstSent.Add(time.Minute), answers: map[string]string{listed: page(next(path), message(sid2, "Paid.", "Other"))}}
		_, err = newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
		require.Error(t, err, path)
		require.Len(t, l.asked, 1)
	}
}

func TestLookup_LeavesCallsThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	const (
		call1 = "CA00000000000000000000000000000001"
		call2 = "CA00000000000000000000000000000002"
		form  = "From=%2B14155550100&TimeLimit=600&To=%2B14155550123&Twiml=%3CResponse%2F%3E"
	)
	target := strings.Replace(listed, "Messages", "Calls", 1)
	list := func(items ...string) string { return strings.Replace(page("null", items...), "messages", "calls", 1) }
	for name, test := range map[string]struct {
		list  string
		now   time.Time
		found bool
	}{
		"one":                           {list(message(call1)), firstSent.Add(5 * time.Minute), true},
		"one that is another's, may be": {list(message(call1)), firstSent.Add(time.Minute), false},
		"two":                           {list(message(call1), message(call2)), firstSent.Add(5 * time.Minute), false},
		"none":                          {list(), firstSent.Add(5 * time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &lists{answers: map[string]string{target: test.list}, date: test.now}
			got, err := newProfile(t).Lookup(t.Context(), sent(callCreate, form), l)
			require.NoError(t, err)
			require.Equal(t, test.found, got.Found)
			require.False(t, got.Absent)
		})
	}
	got, err := newProfile(t).Lookup(t.Context(), sent(start, "Channel=sms&To=%2B14155550123"), &lists{})
	require.NoError(t, err)
	require.Equal(t, vendors.Finding{}, got, "a verification cannot be looked up")
}

// getter is a Getter and no Books.
type getter struct{}

func (getter) Get(context.Context, string, vendors.Params) (vendors.Answer, error) {
	return vendors.Answer{}, errors.New("asked")
}

func TestLookup_NeedsTheBooksAndAnAnswerThatIsAList(t *testing.T) {
	t.Parallel()
	_, err := newProfile(t).Lookup(t.Context(), sent(create, sentText), getter{})
	require.ErrorContains(t, err, "needs the books")
	for name, body := range map[string]string{"no list": "{}", "no JSON": "<html>", "a list of texts": `{"messages":["x"]}`} {
		l := &lists{answers: map[string]string{listed: body}, date: firstSent}
		_, err = newProfile(t).Lookup(t.Context(), sent(create, sentText), l)
		require.Error(t, err, name)
	}
}

func TestFollow_SettlesByThePriceAndWaitsForIt(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		body    string
		after   time.Duration
		found   bool
		amount  money.USD
		isError bool
	}{
		"no price":                         {message(sid1), time.Minute, false, 0, false},
		"a price":                          {message(sid1, `"price":null`, `"price":"-0.0166"`), time.Minute, true, 16_600 * micro, false},
		"delivered, and no price":          {message(sid1, "queued", "delivered"), 30 * day, false, 0, false},
		"undelivered, and no price":        {message(sid1, "queued", "undelivered"), 30 * day, false, 0, false},
		"failed, and no price yet":         {message(sid1, "queued", "failed"), day - time.Minute, false, 0, false},
		"failed, and no price for a day":   {message(sid1, "queued", "failed"), day + time.Minute, true, 1_000 * micro, false},
		"canceled, and no price for a day": {message(sid1, "queued", "canceled"), day + time.Minute, true, 0, false},
		"failed, with a price":             {message(sid1, `"queued"`, `"failed"`, `"price":null`, `"price":"-0.0010"`), time.Minute, true, 1_000 * micro, false},
		"a price in another money":         {message(sid1, `"price":null,"price_unit":"USD"`, `"price":"-1.5","price_unit":"EUR"`), time.Minute, false, 0, true},
		"a price that is given back":       {message(sid1, `"price":null`, `"price":"1.5"`), time.Minute, false, 0, true},
		"another message":                  {message(sid2), time.Minute, false, 0, true},
		"no JSON":                          {"<html>", time.Minute, false, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := strings.Replace(messages, "Messages.json", "Messages/"+sid1+".json", 1)
			l := &lists{answers: map[string]string{path: test.body}, date: firstSent.Add(test.after)}
			got, err := newProfile(t).Follow(t.Context(), sent(create, ""), sid1, l)
			require.Equal(t, test.isError, err != nil)
			require.Equal(t, test.found, got.Found)
			if test.found {
				require.Equal(t, ledger.OutcomeSettled, got.Verdict.Outcome)
				require.Equal(t, sid1, got.Verdict.Object, "its SID stays taken, also if it cost nothing")
				require.Equal(t, test.amount, got.Verdict.Amount)
			}
		})
	}
	_, err := newProfile(t).Follow(t.Context(), sent(create, ""), sid1, &lists{})
	require.Error(t, err, "a message that is not there any more has no price")
	got, err := newProfile(t).Follow(t.Context(), sent(create, ""), "../Accounts", &lists{})
	require.NoError(t, err)
	require.False(t, got.Found)
}

func TestPace_LooksSoonAndThenRarely(t *testing.T) {
	t.Parallel()
	p := newProfile(t)
	require.Equal(t, 5*time.Second, p.Pace(0))
	require.Equal(t, 10*time.Second, p.Pace(1))
	require.Equal(t, 10*time.Minute, p.Pace(20))
	require.Equal(t, time.Hour, p.Pace(1_000_000))
	require.Positive(t, p.Pace(-1))
}

func TestCheck_SaysWhereToLookAndShowsNobodysNumber(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{create, callCreate, start} {
		for _, object := range []string{"", sid1} {
			got := newProfile(t).Check(sent(operation, sentText), object)
			require.Contains(t, got, "Twilio console")
			require.NotContains(t, got, "4155550123")
		}
	}
}
