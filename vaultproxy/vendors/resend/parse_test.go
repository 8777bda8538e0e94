package resend_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

func TestParse_SendsTheOneSpellingOfWhatItUnderstood(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"the least there is": {
			`{"text":"Paid.","to":"ann@example.org","subject":"Receipt","from":"billing@example.com"}`,
			`{"from":"billing@example.com","to":["ann@example.org"],"subject":"Receipt","text":"Paid."}`,
		},
		"names, lists, and domains in capitals": {
			` {"from":"Acme Inc. <Billing@EXAMPLE.com>","to":["Ann <ann@Example.org>","bob@example.org"],"cc":["c@example.org"],"bcc":"d@example.org","reply_to":["e@example.org"],"subject":"<Receipt> & more","html":"<p>&amp;</p>","text":""} `,
			`{"from":"Acme Inc. <Billing@example.com>","to":["Ann <ann@example.org>","bob@example.org"],"cc":["c@example.org"],"bcc":["d@example.org"],"reply_to":["e@example.org"],"subject":"<Receipt> & more","html":"<p>&amp;</p>","text":""}`,
		},
		"a name in Unicode, and an escaped one": {
			`{"from":"J\u00fcrgen <b@example.com>","to":"\"Q: Support\" <ann@example.org>","subject":"\u20ac","text":"x"}`,
			`{"from":"Jürgen <b@example.com>","to":["\"Q: Support\" <ann@example.org>"],"subject":"€","text":"x"}`,
		},
		"headers in any case, tags in their order": {
			`{"from":"b@example.com","to":"ann@example.org","subject":"s","text":"x","headers":{"x-entity-ref-id":"7","List-Unsubscribe":"<mailto:u@example.com>"},"tags":[{"name":"b","value":"2"},{"value":"1","name":"a"}]}`,
			`{"from":"b@example.com","to":["ann@example.org"],"subject":"s","text":"x","headers":{"List-Unsubscribe":"<mailto:u@example.com>","X-Entity-Ref-ID":"7"},"tags":[{"name":"b","value":"2"},{"name":"a","value":"1"}]}`,
		},
		"a file in Base64, and one byte by byte": {
			`{"from":"b@example.com","to":"ann@example.org","subject":"s","text":"x","attachments":[{"filename":"a.txt","content":"aGk="},{"filename":"b.txt","content":[104,105],"content_type":"text/plain","content_id":"b"}]}`,
			`{"from":"b@example.com","to":["ann@example.org"],"subject":"s","text":"x","attachments":[{"filename":"a.txt","content":"aGk="},{"filename":"b.txt","content":"aGk=","content_type":"text/plain","content_id":"b"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := parse(t, "/emails", test.body)
			require.Equal(t, test.want, string(r.JSON))
			require.Empty(t, r.Body)
			require.Equal(t, test.want, string(parse(t, "/emails", test.want).JSON), "reading it again changes nothing")

			if strings.Contains(test.want, "attachments") {
				return // not in a batch
			}
			batch := parse(t, "/emails/batch", "["+test.body+","+test.want+"]")
			require.Equal(t, "["+test.want+","+test.want+"]", string(batch.JSON))
		})
	}
}

func TestParse_RefusesWhatItDoesNotUnderstandFully(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ members, code, param string }{
		"no sender":                    {`{"from":null}`, vendors.Invalid, "from"},
		"a list of senders":            {`{"from":["a@example.com"]}`, vendors.Invalid, "from"},
		"no recipient":                 {`{"to":null}`, vendors.Invalid, "to"},
		"an empty list":                {`{"to":[]}`, vendors.Invalid, "to"},
		"an empty list of copies":      {`{"cc":[]}`, vendors.Invalid, "cc"},
		"a number for a recipient":     {`{"to":[5]}`, vendors.Invalid, "to"},
		"an object for a recipient":    {`{"to":{"email":"a@example.org"}}`, vendors.Invalid, "to"},
		"too many recipients":          {`{"to":[` + strings.Repeat(`"a@example.org",`, 50) + `"a@example.org"]}`, vendors.Invalid, "to"},
		"too many blind copies":        {`{"bcc":[` + strings.Repeat(`"a@example.org",`, 50) + `"a@example.org"]}`, vendors.Invalid, "bcc"},
		"two recipients in one text":   {`{"to":"a@example.org, b@example.org"}`, vendors.Ambiguous, "to"},
		"no subject":                   {`{"subject":null}`, vendors.Invalid, "subject"},
		"a subject of two lines":       {`{"subject":"a\r\nBcc: b@example.org"}`, vendors.Invalid, "subject"},
		"a subject without end":        {`{"subject":"` + strings.Repeat("a", 999) + `"}`, vendors.Invalid, "subject"},
		"no content":                   {`{"text":null}`, vendors.Invalid, "html"},
		"empty content":                {`{"text":""}`, vendors.Invalid, "html"},
		"a number for content":         {`{"text":5}`, vendors.Invalid, "text"},
		"another parameter":            {`{"amp":"x"}`, vendors.Invalid, "amp"},
		"a parameter in another case":  {`{"replyTo":"a@example.org"}`, vendors.Invalid, "replyTo"},
		"a parameter in capitals":      {`{"BCC":"a@example.org"}`, vendors.Invalid, "BCC"},
		"a schedule":                   {`{"scheduled_at":"in 1 min"}`, vendors.Unmetered, "scheduled_at"},
		"a template":                   {`{"template":{"id":"t"}}`, vendors.Unmetered, "template"},
		"a topic":                      {`{"topic_id":"t"}`, vendors.Unmetered, "topic_id"},
		"a header that adds readers":   {`{"headers":{"Bcc":"a@example.org"}}`, vendors.ScopeDenied, "headers"},
		"a header for SES":             {`{"headers":{"X-SES-CONFIGURATION-SET":"a"}}`, vendors.ScopeDenied, "headers"},
		"a header of one's own":        {`{"headers":{"X-Anything":"a"}}`, vendors.ScopeDenied, "headers"},
		"a header with a line break":   {`{"headers":{"List-ID":"a\r\nBcc: b@example.org"}}`, vendors.Invalid, "headers"},
		"headers that are a list":      {`{"headers":[]}`, vendors.Invalid, "headers"},
		"a tag with a space":           {`{"tags":[{"name":"a","value":"b c"}]}`, vendors.Invalid, "tags[0].value"},
		"a tag in Unicode":             {`{"tags":[{"name":"ä","value":"b"}]}`, vendors.Invalid, "tags[0].name"},
		"a tag with a look-alike byte": {`{"tags":[{"name":"a","value":"\u0161"}]}`, vendors.Invalid, "tags[0].value"},
		"a tag without a value":        {`{"tags":[{"name":"a"}]}`, vendors.Invalid, "tags[0].value"},
		"a tag too long":               {`{"tags":[{"name":"a","value":"` + strings.Repeat("a", 257) + `"}]}`, vendors.Invalid, "tags[0].value"},
		"a tag with more in it":        {`{"tags":[{"name":"a","value":"b","c":"d"}]}`, vendors.Invalid, "tags[0].c"},
		"a tag twice":                  {`{"tags":[{"name":"a","value":"b"},{"name":"A","value":"c"}]}`, vendors.Ambiguous, "tags[1].name"},
		"a stamp":                      {`{"tags":[{"name":"Tollgate_call","value":"b"}]}`, vendors.Invalid, "tags[0].name"},
		"an attachment by URL":         {`{"attachments":[{"filename":"a","path":"https://example.org/a"}]}`, vendors.Unmetered, "attachments[0].path"},
		"an attachment without bytes":  {`{"attachments":[{"filename":"a"}]}`, vendors.Invalid, "attachments[0].content"},
		"a broken attachment":          {`{"attachments":[{"filename":"a","content":"a"}]}`, vendors.Invalid, "attachments[0].content"},
		"loose bits in an attachment":  {`{"attachments":[{"filename":"a","content":"aGl="}]}`, vendors.Invalid, "attachments[0].content"},
		"lines in an attachment":       {`{"attachments":[{"filename":"a","content":"aG\nk="}]}`, vendors.Invalid, "attachments[0].content"},
		"a byte that is none":          {`{"attachments":[{"filename":"a","content":[256]}]}`, vendors.Invalid, "attachments[0].content"},
		"a path for a file name":       {`{"attachments":[{"filename":"../a","content":"aGk="}]}`, vendors.Invalid, "attachments[0].filename"},
		"a media type that is none":    {`{"attachments":[{"filename":"a","content":"aGk=","content_type":"a b"}]}`, vendors.Invalid, "attachments[0].content_type"},
		"attachments too large":        {`{"attachments":[{"filename":"a","content":"` + strings.Repeat("AAAA", 128<<10/3+1) + `"}]}`, vendors.Invalid, "attachments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newProfile(t).Parse(raw("/emails", with(t, test.members)))
			requireRefusal(t, err, test.code, test.param)
			_, err = newProfile(t).Parse(raw("/emails/batch", "["+with(t, `{}`)+","+with(t, test.members)+"]"))
			if strings.HasPrefix(test.param, "attachments") && test.code == vendors.Invalid {
				require.Error(t, err)
				return
			}
			requireRefusal(t, err, test.code, "[1]."+test.param)
		})
	}
}

func TestParse_RefusesJSONWithTwoReadings(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":                        ``,
		"null":                           `null`,
		"a member twice":                 `{"to":"a@example.org","to":"b@example.org"}`,
		"a member twice, once escaped":   `{"to":"a@example.org","\u0074o":"b@example.org"}`,
		"a member in two cases":          `{"to":"a@example.org","TO":"b@example.org"}`,
		"a member that is null":          `{"cc":null}`,
		"a fraction":                     `{"to":1.5}`,
		"an exponent":                    `{"to":1e3}`,
		"half a surrogate pair":          `{"text":"\ud800"}`,
		"a NUL":                          `{"text":"\u0000"}`,
		"a byte that is not UTF-8":       "{\"text\":\"\xff\"}",
		"something after it":             `{}{}`,
		"a closing bracket for a value":  `]`,
		"a list that is not closed":      `["a"`,
		"a comma at the end":             `{"to":"a@example.org",}`,
		"more levels than any e-mail":    strings.Repeat("[", 20) + strings.Repeat("]", 20),
		"more values than any e-mail":    `[` + strings.Repeat(`1,`, 80_001) + `1]`,
		"a name that is no text in JSON": `{1:2}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newProfile(t).Parse(raw("/emails", body))
			requireRefusal(t, err, vendors.Ambiguous, "")
		})
	}
}

func TestParse_MetersTwoOperationsAndReadsOne(t *testing.T) {
	t.Parallel()
	const id = "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"
	for request, want := range map[string]string{
		"GET /emails/" + id:                "",
		"POST /emails/" + id:               vendors.Unmetered,
		"PATCH /emails/" + id:              vendors.Unmetered,
		"POST /emails/" + id + "/cancel":   vendors.Unmetered,
		"GET /emails/" + id + "/x":         vendors.Unmetered,
		"GET /emails":                      vendors.Unmetered,
		"GET /emails/receiving":            vendors.Unmetered,
		"GET /emails/batch":                vendors.Unmetered,
		"POST /Emails":                     vendors.Unmetered,
		"POST /emails/batch/":              vendors.Unmetered,
		"POST /broadcasts/" + id + "/send": vendors.Unmetered,
		"POST /api-keys":                   vendors.Unmetered,
		"DELETE /domains/" + id:            vendors.Unmetered,
		"HEAD /emails/" + id:               vendors.Unmetered,
	} {
		method, path, _ := strings.Cut(request, " ")
		got, err := newProfile(t).Parse(vendors.Raw{Method: method, Path: path, Header: func(string) string { return "" }})
		if want == "" {
			require.NoError(t, err, request)
			require.True(t, got.Read())
			continue
		}
		requireRefusal(t, err, want, "")
	}
}

func TestParse_RefusesARequestWhoseMeaningStandsElsewhereToo(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*vendors.Raw){
		"a query":         func(r *vendors.Raw) { r.Query = "to=b@example.org" },
		"a form":          func(r *vendors.Raw) { r.ContentType = "application/x-www-form-urlencoded" },
		"no content type": func(r *vendors.Raw) { r.ContentType = "" },
		"another charset": func(r *vendors.Raw) { r.ContentType = "application/json; charset=utf-16" },
		"a GET with a body": func(r *vendors.Raw) {
			r.Method, r.Path = http.MethodGet, "/emails/49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"
		},
		"a GET with a filter": func(r *vendors.Raw) {
			r.Method, r.Path, r.Query, r.Body = http.MethodGet, "/emails/49a3999c-0ce1-4ea6-ab68-afcd6dc2e794", "a=b", nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := raw("/emails", with(t, `{}`))
			change(&r)
			_, err := newProfile(t).Parse(r)
			requireRefusal(t, err, vendors.Ambiguous, "")
		})
	}
}

func TestParse_TakesStrictBatchesOfOneToAHundred(t *testing.T) {
	t.Parallel()
	one := with(t, `{}`)
	for n, ok := range map[int]bool{0: false, 1: true, 100: true, 101: false} {
		_, err := newProfile(t).Parse(raw("/emails/batch", "["+strings.TrimSuffix(strings.Repeat(one+",", n), ",")+"]"))
		if ok {
			require.NoError(t, err, n)
			continue
		}
		requireRefusal(t, err, vendors.Invalid, "")
	}
	_, err := newProfile(t).Parse(raw("/emails/batch", one))
	requireRefusal(t, err, vendors.Invalid, "")
	_, err = newProfile(t).Parse(raw("/emails", "["+one+"]"))
	requireRefusal(t, err, vendors.Invalid, "")
	_, err = newProfile(t).Parse(raw("/emails/batch", "["+with(t, `{"attachments":[{"filename":"a","content":"aGk="}]}`)+"]"))
	requireRefusal(t, err, vendors.Invalid, "[0].attachments")

	for mode, ok := range map[string]bool{"": true, "strict": true, "permissive": false, "Strict": false} {
		r := raw("/emails/batch", "["+one+"]")
		r.Header = func(name string) string { return map[string]string{"X-Batch-Validation": mode}[name] }
		_, err := newProfile(t).Parse(r)
		require.Equal(t, ok, err == nil, "mode %q", mode)
	}
}
