// Package policy compiles a vault key's endpoint allowlist and matches calls
// against it. An entry is an exact method and a path template:
//
//	POST /v1/payment_intents
//	POST /v1/payment_intents/{id}/capture
//
// A {parameter} stands for exactly one path segment, an object's ID: not for a
// word such as "search", by which a vendor names something else at the same
// place. There are no prefixes and no wildcards over segments, and what is not
// listed is denied.
package policy

import (
	"errors"
	"fmt"
	"strings"
)

// MaxEndpoints bounds the entries of one allowlist.
const MaxEndpoints = 100

// Allowlist decides which calls a vault key may make.
type Allowlist struct {
	entries []entry
}

type entry struct {
	method   string
	segments []string // "" stands for a parameter
}

// Compile reads an allowlist. Its errors name the entry and say how to write it.
func Compile(endpoints []string) (Allowlist, error) {
	if len(endpoints) == 0 {
		return Allowlist{}, errors.New(`allowed_endpoints is empty: list what the key may call, such as "POST /v1/payment_intents"`)
	}
	if len(endpoints) > MaxEndpoints {
		return Allowlist{}, fmt.Errorf("allowed_endpoints has %d entries: at most %d", len(endpoints), MaxEndpoints)
	}
	a := Allowlist{entries: make([]entry, 0, len(endpoints))}
	for _, text := range endpoints {
		e, err := compile(text)
		if err != nil {
			return Allowlist{}, fmt.Errorf(`allowed endpoint %.80q: %w; write it like "POST /v1/payment_intents/{id}/capture"`, text, err)
		}
		a.entries = append(a.entries, e)
	}
	return a, nil
}

func compile(text string) (entry, error) {
	method, path, ok := strings.Cut(text, " ")
	if !ok {
		return entry{}, errors.New("it needs a method, one space and a path")
	}
	switch method {
	case "GET", "POST", "DELETE":
	default:
		return entry{}, errors.New("the method must be GET, POST or DELETE, in capitals")
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok || rest == "" {
		return entry{}, errors.New("the path must start with a slash and name something")
	}
	e := entry{method: method}
	for segment := range strings.SplitSeq(rest, "/") {
		name, isParam := strings.CutPrefix(segment, "{")
		if isParam {
			if name, isParam = strings.CutSuffix(name, "}"); !isParam || !IsSegment(name) {
				return entry{}, errors.New("a parameter is one whole segment, such as {id}")
			}
			e.segments = append(e.segments, "")
			continue
		}
		if !IsSegment(segment) {
			return entry{}, errors.New("a path segment has letters, digits, '_', '-' and '.' only, and is not '.' or '..'")
		}
		e.segments = append(e.segments, segment)
	}
	return e, nil
}

// Allows reports whether a call to a canonical path is listed.
func (a Allowlist) Allows(method, path string) bool {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, e := range a.entries {
		if e.method == method && matches(e.segments, segments) {
			return true
		}
	}
	return false
}

func matches(template, segments []string) bool {
	if len(template) != len(segments) {
		return false
	}
	for i, want := range template {
		if want == "" {
			if !IsSegment(segments[i]) || isWord(segments[i]) {
				return false
			}
			continue
		}
		if want != segments[i] {
			return false
		}
	}
	return true
}

// isWord reports whether a segment is in small letters only, as the names of
// collections and actions are, and IDs are not.
func isWord(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 'a' || r > 'z' }) < 0
}

// IsSegment reports whether s is one canonical path segment: nothing in it can
// be read in two ways, by us and by a vendor.
func IsSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}
