package serve

import (
	"errors"
	"regexp"
	"strings"
)

// ofGoType is what a reader of YAML says of our types: it tells nothing to whoever
// wrote the file.
var ofGoType = regexp.MustCompile(` (in type|into) [\w.\[\]]+`)

// yamlError is what is wrong with a file, in one line: a reader of YAML writes a
// line for each thing that it does not like.
func yamlError(err error) error {
	return errors.New(ofGoType.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), ""))
}
