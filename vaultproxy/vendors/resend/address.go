package resend

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxLocal and maxDomain are the bounds of RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.2, in bytes.
	maxLocal  = 64
	maxDomain = 253
	// maxDisplayName bounds the name before an address, in bytes.
	maxDisplayName = 255
)

var errAddress = errors.New(`must be one e-mail address in plain ASCII, such as ann@example.com or Ann <ann@example.com>`)

// address is one mailbox, understood fully: whoever reads what text writes sees
// one recipient.
type address struct{ name, local, domain string }

// parseAddress reads one address. RFC 5322 allows much more than one address in
// one field, and forms that not all readers read alike: comments, quoted local
// parts, groups, literals. None of them is taken.
func parseAddress(text string) (address, error) {
	if len(text) > maxDisplayName+maxLocal+maxDomain+8 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return address{}, errAddress
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil {
		return address{}, errAddress
	}
	at := strings.LastIndexByte(parsed.Address, '@')
	if at < 0 {
		return address{}, errAddress
	}
	a := address{name: parsed.Name, local: parsed.Address[:at]}
	var ok bool
	if a.domain, ok = canonicalDomain(parsed.Address[at+1:]); !ok || !isLocal(a.local) || !isDisplayName(a.name) {
		return address{}, errAddress
	}
	// As written, and not only as net/mail reads it: the address by itself, or
	// after a name and in angle brackets, with nothing around it.
	written := strings.TrimSpace(text)
	if before, inside, found := strings.Cut(written, "<"); found {
		written = strings.TrimSuffix(inside, ">")
		if strings.ContainsAny(before, "<>@,;()\\") || inside == written {
			return address{}, errAddress
		}
	} else if a.name != "" {
		return address{}, errAddress
	}
	if written != parsed.Address {
		return address{}, errAddress
	}
	return a, nil
}

// text is the one spelling that is sent.
func (a address) text() string {
	plain := a.local + "@" + a.domain
	switch {
	case a.name == "":
		return plain
	case strings.ContainsAny(a.name, ":[]"):
		return `"` + a.name + `" <` + plain + ">"
	}
	return a.name + " <" + plain + ">"
}

// isDisplayName takes no character that ends or begins something in an address:
// a reader that splits at commas must find none.
func isDisplayName(name string) bool {
	return len(name) <= maxDisplayName && utf8.ValidString(name) && strings.TrimSpace(name) == name &&
		!strings.ContainsAny(name, `<>@,;()"\`) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// isLocal takes the dot-atom of RFC 5322, section 3.2.3, in ASCII.
func isLocal(local string) bool {
	if local == "" || len(local) > maxLocal {
		return false
	}
	for part := range strings.SplitSeq(local, ".") {
		if part == "" {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

// canonicalDomain is a domain in small letters. It takes host names in ASCII with
// at least one dot, no trailing dot, no literals, and nothing internationalised in
// Unicode, where one domain can look like another.
func canonicalDomain(domain string) (string, bool) {
	if len(domain) > maxDomain || !strings.Contains(domain, ".") {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		for i := range len(label) {
			if !isAlphanumeric(label[i]) && label[i] != '-' {
				return "", false
			}
		}
	}
	return strings.ToLower(domain), true // ASCII only by now
}

// isInternationalised reports whether a domain has a label in Punycode, which
// mail programs show in Unicode.
func isInternationalised(domain string) bool {
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) >= 4 && strings.EqualFold(label[:4], "xn--") {
			return true
		}
	}
	return false
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
