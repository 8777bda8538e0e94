package vendors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// maxValues bounds the values of a JSON text that is read as a tree: enough for an
// attachment of 64 KiB that is given byte by byte.
const maxValues = 80_000

// ReadJSON reads a JSON text for vendors that take JSON themselves. It is as
// strict as ParseJSON, but keeps the shape: map[string]any, []any, string, bool
// and json.Number, which is always a plain integer. It takes no null, no fraction,
// no exponent, no half of a surrogate pair, no NUL, no repeated or case-variant
// name and nothing after the value. *Refusal.
func ReadJSON(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, ambiguous("the JSON body is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	t := &treeReader{dec: dec}
	value, err := t.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, ambiguous("something follows the JSON value")
	}
	return value, nil
}

type treeReader struct {
	dec    *json.Decoder
	values int
}

func (t *treeReader) value(depth int) (any, error) {
	if t.values++; depth > maxDepth || t.values > maxValues {
		return nil, ambiguous("the JSON body is nested too deeply or too large")
	}
	token, err := t.dec.Token()
	if err != nil {
		return nil, ambiguous("the JSON body is malformed")
	}
	switch v := token.(type) {
	case json.Delim:
		switch v {
		case '{':
			return t.object(depth + 1)
		case '[':
			return t.array(depth + 1)
		}
		return nil, ambiguous("the JSON body is malformed")
	case string:
		return v, checkText(v)
	case bool:
		return v, nil
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE+") || v.String() == "-0" {
			return nil, ambiguous("a number must be a plain integer")
		}
		return v, nil
	default:
		return nil, ambiguous("a value is null: leave it out instead")
	}
}

// checkText refuses what was not written so: the decoder puts a replacement
// character for half of a surrogate pair.
func checkText(text string) error {
	if strings.ContainsRune(text, utf8.RuneError) || strings.ContainsRune(text, 0) {
		return ambiguous("a JSON text is not valid Unicode text")
	}
	return nil
}

func (t *treeReader) object(depth int) (any, error) {
	members, seen := map[string]any{}, map[string]bool{}
	for t.dec.More() {
		token, err := t.dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, ambiguous("the JSON body is malformed")
		}
		if err := checkText(name); err != nil {
			return nil, err
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return nil, ambiguous("a JSON name is given twice")
		}
		seen[folded] = true
		if members[name], err = t.value(depth); err != nil {
			return nil, err
		}
	}
	return members, t.end()
}

func (t *treeReader) array(depth int) (any, error) {
	elements := []any{}
	for t.dec.More() {
		element, err := t.value(depth)
		if err != nil {
			return nil, err
		}
		elements = append(elements, element)
	}
	return elements, t.end()
}

func (t *treeReader) end() error {
	if _, err := t.dec.Token(); err != nil {
		return ambiguous("the JSON body is malformed")
	}
	return nil
}
