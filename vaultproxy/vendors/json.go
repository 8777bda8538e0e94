package vendors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseJSON transcodes a JSON object to form parameters: members become
// name[member], array elements name[0]. It takes no null, no fraction, no
// exponent, nothing empty that a form cannot show, no half of a surrogate pair,
// no repeated or case-variant name and nothing after the object.
func ParseJSON(body []byte) (Params, error) {
	if !utf8.Valid(body) {
		return nil, ambiguous("the JSON body is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	t := &transcoder{dec: dec}
	first, err := dec.Token()
	if err != nil || first != json.Delim('{') {
		return nil, ambiguous("the JSON body is not an object")
	}
	if err := t.object("", 0); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ambiguous("something follows the JSON object")
	}
	return t.params, check(t.params)
}

type transcoder struct {
	dec    *json.Decoder
	params Params
}

func (t *transcoder) object(prefix string, depth int) error {
	if prefix != "" && !t.dec.More() {
		return ambiguous("%.60s is empty: leave it out instead", prefix)
	}
	seen := map[string]bool{}
	for t.dec.More() {
		token, err := t.dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return ambiguous("the JSON body is malformed")
		}
		if strings.ContainsAny(name, "[]") || name == "" {
			return ambiguous("a JSON name is empty or holds brackets")
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return ambiguous("a JSON name is given twice")
		}
		seen[folded] = true
		if prefix != "" {
			name = prefix + "[" + name + "]"
		}
		if err := t.value(name, depth); err != nil {
			return err
		}
	}
	return t.end()
}

func (t *transcoder) array(prefix string, depth int) error {
	if !t.dec.More() {
		return ambiguous("%.60s is empty: leave it out instead", prefix)
	}
	for i := 0; t.dec.More(); i++ {
		if err := t.value(prefix+"["+strconv.Itoa(i)+"]", depth); err != nil {
			return err
		}
	}
	return t.end()
}

func (t *transcoder) end() error {
	if _, err := t.dec.Token(); err != nil {
		return ambiguous("the JSON body is malformed")
	}
	return nil
}

func (t *transcoder) value(name string, depth int) error {
	if depth >= maxDepth || len(t.params) > maxParams {
		return ambiguous("the JSON body is nested too deeply or too large")
	}
	token, err := t.dec.Token()
	if err != nil {
		return ambiguous("the JSON body is malformed")
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return t.object(name, depth+1)
		}
		return t.array(name, depth+1)
	case string:
		if strings.ContainsRune(v, utf8.RuneError) {
			// The decoder puts this for half of a surrogate pair: the text is not what was written.
			return ambiguous("the value of %.60s is not valid Unicode text", name)
		}
		t.params = append(t.params, Param{name, v})
	case bool:
		t.params = append(t.params, Param{name, strconv.FormatBool(v)})
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE+") || v.String() == "-0" {
			return ambiguous("%.60s must be a plain integer", name)
		}
		t.params = append(t.params, Param{name, v.String()})
	default:
		return ambiguous("%.60s is null: leave it out instead", name)
	}
	return nil
}
