package resend

import (
	"slices"
	"strings"
	"unicode"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// maxAddresses is the most addresses that a list has; Resend says so of "to", and
// more than that in another list is no receipt.
// https://resend.com/docs/api-reference/emails/send-email
const maxAddresses = 50

// maxLine is the longest line of a header, in bytes (RFC 5322, section 2.1.1).
const maxLine = 998

// known are the parameters that the profile understands, as the API spells them.
var known = []string{ //nolint:gochecknoglobals // a constant list
	"from", "to", "cc", "bcc", "reply_to", "subject", "html", "text", "headers", "tags", "attachments",
}

// unmetered are parameters of Resend's that are not passed on, and why.
var unmetered = map[string]string{ //nolint:gochecknoglobals // a constant table
	"scheduled_at": "a scheduled e-mail can be moved or cancelled past the proxy, so what it comes to cannot be told: send it when it is due",
	"template":     "a template's content and sender are Resend's to fill in, where the proxy does not see them: give subject, html and text",
	"topic_id":     "whether an e-mail with a topic is sent hangs on who subscribed to it, so what it costs cannot be told before",
}

// members is a JSON object on its way into an e-mail.
type members struct {
	at     string // path of the object, before a member's name
	values map[string]any
}

func readMembers(tree any, at string, names []string) (members, error) {
	values, ok := tree.(map[string]any)
	if !ok {
		return members{}, refuse(vendors.Invalid, strings.TrimSuffix(at, "."), "a JSON object is expected here")
	}
	m := members{at, values}
	for name := range values {
		if why := unmetered[name]; why != "" {
			return m, refuse(vendors.Unmetered, at+name, "%s is not passed on: %s", name, why)
		}
		if !slices.Contains(names, name) {
			return m, refuse(vendors.Invalid, clip(at+name), "%.60q is not a parameter that Tollgate knows here; remove it", name)
		}
	}
	return m, nil
}

func clip(text string) string { return text[:min(len(text), 100)] }

// text reads a text; nil if it is not there.
func (m members) text(name string) (*string, error) {
	value, there := m.values[name]
	if !there {
		return nil, nil //nolint:nilnil // nothing there is no error
	}
	text, ok := value.(string)
	if !ok {
		return nil, refuse(vendors.Invalid, m.at+name, "%s must be a text", name)
	}
	return &text, nil
}

// line reads a text that has to be there, on one line and of bounded length.
func (m members) line(name string, limit int) (string, error) {
	text, err := m.text(name)
	if err != nil {
		return "", err
	}
	if text == nil || *text == "" || len(*text) > limit || strings.ContainsFunc(*text, unicode.IsControl) {
		return "", refuse(vendors.Invalid, m.at+name, "%s is needed: one line of at most %d bytes", name, limit)
	}
	return *text, nil
}

// list reads a list of objects.
func (m members) list(name string, limit int) ([]any, error) {
	value, there := m.values[name]
	if !there {
		return nil, nil
	}
	items, ok := value.([]any)
	if !ok || len(items) == 0 || len(items) > limit {
		return nil, refuse(vendors.Invalid, m.at+name, "%s must be a list of 1 to %d objects, or be left out", name, limit)
	}
	return items, nil
}

// addresses reads one address or a list of them into their one spelling.
func (m members) addresses(name string) ([]string, error) {
	value, there := m.values[name]
	if !there {
		return nil, nil
	}
	if one, ok := value.(string); ok {
		value = []any{one}
	}
	items, ok := value.([]any)
	if !ok || len(items) == 0 || len(items) > maxAddresses {
		return nil, refuse(vendors.Invalid, m.at+name, "%s must be an address or a list of 1 to %d addresses", name, maxAddresses)
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil, refuse(vendors.Invalid, m.at+name, "%s must be an address or a list of addresses", name)
		}
		a, err := parseAddress(text)
		if err != nil {
			return nil, refuse(vendors.Ambiguous, m.at+name, "each address in %s %s", name, err.Error())
		}
		out = append(out, a.text())
	}
	return out, nil
}
