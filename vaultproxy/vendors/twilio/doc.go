// Package twilio is the profile of Twilio's Programmable Messaging, Programmable
// Voice and Verify APIs, as far as they start something that costs.
//
// Metered are messages (create), calls (create) and verifications (start); reads
// of these cost nothing. Every other request is refused: what the profile does
// not understand fully, it does not pass on.
//
//	operation             held                              settled                      nothing owed
//	messages.create       segments or one MMS, by rate card the price that Twilio        failed, canceled
//	                                                        reports later
//	calls.create          minutes of TimeLimit, by card     the price reported later     busy, no answer, …
//	verifications.start   by rate card                      the same, at once
//
// Twilio repeats a create that it is sent twice. So nothing is ever sent again
// that may have arrived: a lost answer is looked up, by recipient, sender, text
// and time, and what is not found stays unknown. Twilio does not say that its
// lists show a new object at once, so not to be found proves nothing, however
// long ago: a person decides then.
//
// Sources: https://www.twilio.com/docs/messaging/api/message-resource,
// https://www.twilio.com/docs/voice/api/call-resource,
// https://www.twilio.com/docs/verify/api/verification and
// https://www.twilio.com/docs/usage/twilios-response for its errors.
package twilio

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Placeholder stands in paths for the account that the profile is bound to.
const Placeholder = "AC00000000000000000000000000000000"

// Config holds what the profile cannot know. Either AuthToken is given, or
// APIKeySID and APIKeySecret.
type Config struct {
	AccountSID   string // AC and 32 hexadecimal digits; required
	AuthToken    string
	APIKeySID    string // SK and 32 hexadecimal digits
	APIKeySecret string

	Rates     Rates    // required, see ParseRates
	Countries []string // the only ones that may be written to or called, such as US; none: all of the rate card
	// StatusCallbacks are the only URLs that are passed on as the StatusCallback of a
	// request; another one is left out of what is sent.
	StatusCallbacks []string
	// CallURLs are the only URLs that a call may take its instructions from; none:
	// calls bring their instructions along, as Twiml.
	CallURLs []string
}

// Profile implements vendors.Vendor.
type Profile struct {
	account   string
	basic     string
	rates     Rates
	countries map[string]bool // nil: all
	callbacks []string
	callURLs  []string
}

var (
	_ vendors.Vendor  = (*Profile)(nil)
	_ vendors.Placer  = (*Profile)(nil)
	_ vendors.Denier  = (*Profile)(nil)
	_ vendors.Pacer   = (*Profile)(nil)
	_ vendors.Checker = (*Profile)(nil)
)

// New checks the configuration; it never repeats a secret in an error.
func New(cfg Config) (*Profile, error) {
	user, password, err := credentials(cfg)
	if err != nil {
		return nil, err
	}
	if len(cfg.Rates.countries) == 0 {
		return nil, errors.New("the Twilio rate card is missing: without it no price is known")
	}
	p := &Profile{
		account: cfg.AccountSID, rates: cfg.Rates,
		basic:     "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)),
		callbacks: slices.Clone(cfg.StatusCallbacks), callURLs: slices.Clone(cfg.CallURLs),
	}
	for _, country := range cfg.Countries {
		if _, known := cfg.Rates.countries[country]; !known {
			return nil, fmt.Errorf("the Twilio country %.8q is not in the rate card: write it as there, such as US", country)
		}
		if p.countries == nil {
			p.countries = map[string]bool{}
		}
		p.countries[country] = true
	}
	for _, allowed := range slices.Concat(cfg.StatusCallbacks, cfg.CallURLs) {
		if u, err := url.Parse(allowed); err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("the URLs that Twilio may be told to call must look like https://example.com/path")
		}
	}
	return p, nil
}

func credentials(cfg Config) (user, password string, err error) {
	if !isSID(cfg.AccountSID, "AC") || cfg.AccountSID == Placeholder {
		return "", "", errors.New("the Twilio account SID must be AC and 32 hexadecimal digits")
	}
	switch {
	case cfg.AuthToken != "" && (cfg.APIKeySID != "" || cfg.APIKeySecret != ""):
		return "", "", errors.New("the Twilio account has an auth token and an API key: give one of them")
	case cfg.AuthToken != "":
		user, password = cfg.AccountSID, cfg.AuthToken
	case !isSID(cfg.APIKeySID, "SK") || cfg.APIKeySecret == "":
		return "", "", errors.New("the Twilio secret is missing: an auth token, or an API key's SID (SK…) and secret")
	default:
		user, password = cfg.APIKeySID, cfg.APIKeySecret
	}
	switch {
	case strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", "", errors.New("the Twilio secret has spaces or other characters that none has: check the file that it comes from")
	case strings.HasPrefix(password, "vault_key_"):
		return "", "", errors.New("the Twilio secret is a vault key: the real auth token or API key is needed here")
	}
	return user, password, nil
}

// Name is the profile's path segment on the data plane.
func (*Profile) Name() string { return "twilio" }

// Credentials carry the real secret, as Basic authentication.
func (p *Profile) Credentials() map[string]string { return map[string]string{"Authorization": p.basic} }

// IdempotencyHeader is empty: Twilio does a create as often as it is asked to.
func (*Profile) IdempotencyHeader() string { return "" }

// Place finds Verify on its own host, verify.twilio.com where the API is
// api.twilio.com, and everything at one address where it is another one.
func (*Profile) Place(base, path string) string {
	u, err := url.Parse(base)
	if err != nil || !strings.HasPrefix(path, verifyPrefix) {
		return base
	}
	rest, isAPI := strings.CutPrefix(u.Host, "api.")
	if isAPI && strings.HasSuffix(u.Hostname(), ".twilio.com") {
		u.Host = "verify." + rest
	}
	return u.String()
}

// Denial puts our fields where twilio-go's TwilioRestError keeps details; its
// code is a number of Twilio's, which ours have none of.
func (*Profile) Denial(status int, fields map[string]any) any {
	code, _ := fields["code"].(string)
	message, _ := fields["message"].(string)
	return map[string]any{
		"status": status, "code": 0, "message": code + ": " + message, "more_info": "", "details": fields,
	}
}

// isSID reports whether text is a Twilio identifier of that kind.
func isSID(text, prefix string) bool {
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok || len(digits) != 32 {
		return false
	}
	return !strings.ContainsFunc(digits, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F')
	})
}

func refuse(code, param, format string, args ...any) *vendors.Refusal {
	return &vendors.Refusal{Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}
