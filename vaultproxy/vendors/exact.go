package vendors

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Names are the parameters that an operation may have, spelt as the vendor
// spells them, and how often each may be given.
type Names map[string]int

// ParseExact reads an application/x-www-form-urlencoded text of a vendor whose
// names have capitals and no brackets, as strictly as ParseForm. Only the names
// that are listed are taken. One that differs in its case only is ambiguous: two
// readers might not agree whether it is the same.
func ParseExact(text string, names Names) (Params, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Contains(text, ";") {
		return nil, ambiguous("a raw semicolon stands in the parameters: encode it as %%3B")
	}
	folded := make(map[string]string, len(names))
	for name := range names {
		folded[strings.ToLower(name)] = name
	}
	var params Params
	count := make(map[string]int, len(names))
	for pair := range strings.SplitSeq(text, "&") {
		param, err := exactParam(pair, names, folded)
		if err != nil {
			return nil, err
		}
		if count[param.Name]++; count[param.Name] > names[param.Name] {
			if names[param.Name] == 1 {
				return nil, ambiguous("parameter %s is given twice", param.Name)
			}
			return nil, &Refusal{
				Code: Invalid, Param: param.Name, Message: fmt.Sprintf("parameter %s is given more than %d times", param.Name, names[param.Name]),
			}
		}
		params = append(params, param)
	}
	params.sort()
	return params, nil
}

func exactParam(pair string, names Names, folded map[string]string) (Param, error) {
	rawName, rawValue, ok := strings.Cut(pair, "=")
	if !ok {
		return Param{}, ambiguous("a parameter has no '='")
	}
	name, err1 := url.QueryUnescape(rawName)
	value, err2 := url.QueryUnescape(rawValue)
	if err1 != nil || err2 != nil {
		return Param{}, ambiguous("a parameter is not percent-encoded correctly")
	}
	if _, known := names[name]; !known {
		if meant, near := folded[strings.ToLower(name)]; near {
			return Param{}, ambiguous("parameter %s is not spelt as the vendor spells it", meant)
		}
		if !printableName(name) {
			return Param{}, ambiguous("a parameter name has other characters than the vendor's names have")
		}
		return Param{}, &Refusal{
			Code: Invalid, Param: name, Message: name + " is not a parameter of this operation that Tollgate knows; remove it",
		}
	}
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return Param{}, ambiguous("the value of %s is not valid UTF-8 text", name)
	}
	return Param{name, value}, nil
}

func printableName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '<', c == '>':
		default:
			return false
		}
	}
	return true
}

// All returns the values of a parameter in their order.
func (p Params) All(name string) []string {
	var out []string
	for _, param := range p {
		if param.Name == name {
			out = append(out, param.Value)
		}
	}
	return out
}
