package vendors

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Param is one parameter of a form, with its name in bracket notation.
type Param struct{ Name, Value string }

// Params are the parameters of a form or a query, sorted by name so that one
// meaning has one spelling. Repeats of a list name ("x[]") keep their order.
type Params []Param

const (
	maxParams = 1000
	maxDepth  = 8
)

// Get returns the value of a parameter and whether it is there.
func (p Params) Get(name string) (string, bool) {
	for _, param := range p {
		if param.Name == name {
			return param.Value, true
		}
	}
	return "", false
}

// With returns the parameters with one set, replacing it if it was there.
func (p Params) With(name, value string) Params {
	out := slices.DeleteFunc(slices.Clone(p), func(param Param) bool { return param.Name == name })
	out = append(out, Param{name, value})
	out.sort()
	return out
}

// Encode writes the canonical form encoding.
func (p Params) Encode() string {
	var b strings.Builder
	for i, param := range p {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(param.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(param.Value))
	}
	return b.String()
}

func (p Params) sort() {
	slices.SortStableFunc(p, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
}

// Root is the outermost name: "metadata" of "metadata[order]".
func Root(name string) string {
	root, _, _ := strings.Cut(name, "[")
	return root
}

// ParseForm reads an application/x-www-form-urlencoded text strictly: whatever
// two readers might read differently is refused.
func ParseForm(text string) (Params, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Contains(text, ";") {
		return nil, ambiguous("a raw semicolon stands in the parameters: encode it as %%3B")
	}
	var params Params
	for pair := range strings.SplitSeq(text, "&") {
		rawName, rawValue, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, ambiguous("a parameter has no '='")
		}
		name, err1 := url.QueryUnescape(rawName)
		value, err2 := url.QueryUnescape(rawValue)
		if err1 != nil || err2 != nil {
			return nil, ambiguous("a parameter is not percent-encoded correctly")
		}
		params = append(params, Param{name, value})
	}
	return params, check(params)
}

// check holds parameters to names and values that have one reading.
func check(params Params) error {
	if len(params) > maxParams {
		return &Refusal{Code: Invalid, Message: fmt.Sprintf("more than %d parameters", maxParams)}
	}
	params.sort()
	seen := make(map[string]string, len(params))
	shapes := make(map[string]shape, len(params))
	for _, param := range params {
		if err := checkName(param.Name); err != nil {
			return err
		}
		if !utf8.ValidString(param.Value) || strings.ContainsRune(param.Value, 0) {
			return ambiguous("the value of %s is not valid UTF-8 text", param.Name)
		}
		folded := strings.ToLower(param.Name)
		if slices.Contains(steering, folded) {
			return ambiguous("parameter %s would make another request of this one", param.Name)
		}
		before, repeated := seen[folded]
		isList := strings.HasSuffix(param.Name, "[]")
		if repeated && (before != param.Name || !isList) {
			return ambiguous("parameter %s is given twice", param.Name)
		}
		seen[folded] = param.Name
		if err := checkShapes(shapes, folded); err != nil {
			return err
		}
	}
	return nil
}

// steering are names by which frameworks change the method or the encoding of
// the request that they stand in.
var steering = []string{"_method", "_charset_", "_http_method", "x-http-method-override"}

// shape is what a name turns out to be by the names that are given with it.
type shape int

const (
	aValue   shape = iota + 1 // name=
	aList                     // name[]=
	aMembers                  // name[member]=, name[0]=
)

// checkShapes holds every level of a name to one shape: whoever sees x[a] and
// x[a][b] has to drop one of them, and not every reader drops the same.
func checkShapes(shapes map[string]shape, name string) error {
	for at := name; at != ""; {
		is := aValue
		if at != name {
			is = aMembers
			if name[len(at):] == "[]" {
				is = aList
			}
		}
		if was := shapes[at]; was != 0 && was != is {
			return ambiguous("parameter %s is given in two shapes, such as a value and a list", at)
		}
		shapes[at] = is
		at = at[:max(0, strings.LastIndexByte(at, '['))]
	}
	return nil
}

// checkName wants name, name[member], name[member][], name[0][member] and so on.
func checkName(name string) error {
	if len(name) > 255 || !utf8.ValidString(name) {
		return ambiguous("a parameter name is too long or not valid text")
	}
	root := Root(name)
	if !isName(root) {
		return ambiguous("a parameter name has other characters than a-z, 0-9 and '_'")
	}
	rest, depth := name[len(root):], 0
	for rest != "" {
		end := strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 0 {
			return ambiguous("the brackets of parameter %s do not match", root)
		}
		member := rest[1:end]
		rest = rest[end+1:]
		if depth++; depth > maxDepth {
			return ambiguous("parameter %s is nested too deeply", root)
		}
		if member == "" && rest != "" {
			return ambiguous("parameter %s has members under an unnumbered list: number its elements", root)
		}
		if strings.ContainsAny(member, "[") || strings.IndexFunc(member, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
			return ambiguous("a member name of parameter %s has characters outside of printable ASCII", root)
		}
	}
	return nil
}

func isName(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return true
}

func ambiguous(format string, args ...any) *Refusal {
	return &Refusal{Code: Ambiguous, Message: fmt.Sprintf(format, args...)}
}
