package vendorsim

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// paramKind says how a parameter is written and whether it means anything here.
type paramKind int

const (
	scalar     paramKind = iota // amount=100
	list                        // expand[]=a or expand[0]=a
	hash                        // metadata[k]=v
	span                        // created=1 or created[gte]=1
	ignored                     // taken in any form, of no consequence here
	unmodelled                  // known to Stripe, refused here
)

// paramSpec names the parameters of one operation.
type paramSpec map[string]paramKind

// params are parsed parameters. Empty values are kept: Stripe refuses most of them.
type params struct {
	scalars map[string]string
	lists   map[string][]string
	hashes  map[string]map[string]string
}

// readParams parses a form strictly: unknown, repeated and misformed parameters are errors.
func readParams(form url.Values, spec paramSpec) (params, *stripeError) {
	p := params{scalars: make(map[string]string, len(form))}
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		base, rest, _ := strings.Cut(name, "[")
		kind, known := spec[base]
		if !known {
			return p, invalid("parameter_unknown", name, "received unknown parameter: %s", name)
		}
		values := form[name]
		if len(values) > 1 && (kind != list || rest != "]") {
			return p, invalid("", name, "parameter %s was sent %d times", name, len(values))
		}
		if e := p.put(kind, base, rest, name, values); e != nil {
			return p, e
		}
	}
	return p, nil
}

// put files the values of one name away; rest is what follows its first bracket.
func (p *params) put(kind paramKind, base, rest, name string, values []string) *stripeError {
	sub, closed := strings.CutSuffix(rest, "]")
	if kind == span {
		kind = hash
		if base == name {
			kind = scalar
		}
	}
	switch kind {
	case unmodelled:
		return notModelled(name, name)
	case scalar:
		if base != name {
			return invalid("", name, "invalid parameter %s: a single value was expected", name)
		}
		p.scalars[base] = values[0]
	case list:
		_, err := strconv.ParseUint(sub, 10, 16)
		if !closed || (sub != "" && err != nil) {
			return invalid("", name, "invalid parameter %s: an array was expected", name)
		}
		if p.lists == nil {
			p.lists = map[string][]string{}
		}
		p.lists[base] = append(p.lists[base], values...)
	case hash:
		if !closed || sub == "" || strings.ContainsAny(sub, "[]") {
			return invalid("", name, "invalid parameter %s: a hash was expected", name)
		}
		if p.hashes == nil {
			p.hashes = map[string]map[string]string{}
		}
		if p.hashes[base] == nil {
			p.hashes[base] = map[string]string{}
		}
		p.hashes[base][sub] = values[0]
	}
	return nil
}

// has reports whether a scalar was sent, be it empty.
func (p params) has(name string) bool {
	_, ok := p.scalars[name]
	return ok
}

// text returns a scalar, "" if it was not sent; sent and empty is an error.
func (p params) text(name string) (string, *stripeError) {
	value, ok := p.scalars[name]
	if ok && value == "" {
		return "", invalid("parameter_invalid_empty", name, "%s must not be empty; leave it out to unset it", name)
	}
	return value, nil
}

// textParam says where a text goes.
type textParam struct {
	name string
	to   *string
}

// textsInto reads several texts in order.
func (p params) textsInto(texts []textParam) *stripeError {
	for _, text := range texts {
		var e *stripeError
		if *text.to, e = p.text(text.name); e != nil {
			return e
		}
	}
	return nil
}

// oneOf returns a scalar that has to be one of a few words; fallback if it was not sent.
func (p params) oneOf(name, fallback string, words ...string) (string, *stripeError) {
	value, e := p.text(name)
	switch {
	case e != nil:
		return "", e
	case value == "":
		return fallback, nil
	case !slices.Contains(words, value):
		return "", invalid("", name, "invalid %s: must be one of %s", name, strings.Join(words, ", "))
	}
	return value, nil
}

// flag returns a boolean scalar.
func (p params) flag(name string, fallback bool) (bool, *stripeError) {
	value, e := p.text(name)
	if e != nil {
		return false, e
	}
	return parseFlag(name, value, fallback)
}

func parseFlag(name, value string, fallback bool) (bool, *stripeError) {
	switch value {
	case "":
		return fallback, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalid("", name, "invalid boolean: %s must be true or false", name)
}

// whole returns a non-negative integer written in plain digits, and whether it was sent.
func (p params) whole(name string) (int64, bool, *stripeError) {
	value, e := p.text(name)
	if e != nil || value == "" {
		return 0, false, e
	}
	n, e := parseWhole(name, value)
	return n, true, e
}

func parseWhole(name, value string) (int64, *stripeError) {
	n, err := strconv.ParseInt(value, 10, 64)
	// ParseInt takes signs and leading zeros, which say that a caller is guessing.
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != value {
		return 0, invalid("parameter_invalid_integer", name, "invalid positive integer in %s", name)
	}
	return n, nil
}

// Limits of metadata (docs.stripe.com/api/metadata).
const (
	maxMetadataKeys  = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// metadata returns the metadata; an empty value unsets its key. Never nil.
func (p params) metadata() (map[string]string, *stripeError) {
	kept := map[string]string{}
	for key, value := range p.hashes["metadata"] {
		switch {
		case len([]rune(key)) > maxMetadataKey:
			return nil, invalid("", "metadata", "metadata keys have at most %d characters", maxMetadataKey)
		case len([]rune(value)) > maxMetadataValue:
			return nil, invalid("", "metadata["+key+"]", "metadata values have at most %d characters", maxMetadataValue)
		case value != "":
			kept[key] = value
		}
	}
	if len(kept) > maxMetadataKeys {
		return nil, invalid("", "metadata", "an object has at most %d metadata keys", maxMetadataKeys)
	}
	return kept, nil
}

// expands reports whether property is to be expanded, and refuses any other expansion.
func (p params) expands(property string) (bool, *stripeError) {
	for _, asked := range p.lists["expand"] {
		if property == "" || asked != property {
			return false, notModelled("expand", "the expansion asked for")
		}
	}
	return len(p.lists["expand"]) > 0, nil
}
