package fx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile   = 1 << 20 // bytes
	maxMaxAge = 31 * 24 * time.Hour
)

// file is a table as it is written: every number is a text, so that no reader
// makes a float of it.
type file struct {
	AsOf   text            `yaml:"as_of"`   // UTC day, or RFC 3339
	MaxAge text            `yaml:"max_age"` // a Go duration such as 48h
	Margin text            `yaml:"margin"`  // such as "0.03": three per cent on top
	Rates  map[string]text `yaml:"rates"`   // US dollars for one whole unit, by lower-case code
}

// text is a scalar as it stands in the file, digit for digit.
type text string

// UnmarshalYAML keeps the spelling of a scalar, and takes nothing else.
func (t *text) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return fmt.Errorf("line %d: a plain value is needed here", node.Line)
	}
	*t = text(node.Value)
	return nil
}

// Load reads a table from a file.
func Load(path string) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the exchange rates: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the exchange rates: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the exchange rates in %s are larger than 1 MiB", path)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("exchange rates in %s: %w", path, err)
	}
	return t, nil
}

// Parse reads a table strictly: a field that is not known, a code or field that
// stands twice, or a number that would have to be interpreted, is an error.
func Parse(data []byte) (*Table, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " ")) // on one line
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("one YAML document is needed, and there are several")
	}
	t := &Table{rates: make(map[string]*big.Rat, len(f.Rates))}
	var err error
	if t.asOf, err = f.AsOf.moment(); err != nil {
		return nil, err
	}
	if t.maxAge, err = time.ParseDuration(string(f.MaxAge)); err != nil || t.maxAge <= 0 || t.maxAge > maxMaxAge {
		return nil, fmt.Errorf("max_age %.40q must be a duration from 1ns to 744h (31 days), such as 48h", f.MaxAge)
	}
	margin, err := decimal(string(f.Margin))
	if err != nil || margin.Cmp(big.NewRat(1, 1)) > 0 {
		return nil, fmt.Errorf(`margin %.40q must be a decimal number from 0 to 1, such as "0.03" for three per cent`, f.Margin)
	}
	t.factor = margin.Add(margin, big.NewRat(1, 1))
	if len(f.Rates) == 0 {
		return nil, errors.New("rates is missing: give US dollars for one unit by currency, such as eur: \"1.0842\"")
	}
	for code, value := range f.Rates {
		if t.rates[code], err = checkRate(code, string(value)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t text) moment() (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, string(t)); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("as_of %.40q must be a UTC day such as 2026-11-24, or a time such as 2026-11-24T16:00:00Z", t)
}

func checkRate(code, value string) (*big.Rat, error) {
	switch {
	case !isCode(code):
		return nil, fmt.Errorf("rates: %.40q is not a currency's code: three lower-case letters, such as eur", code)
	case code == Base:
		return nil, errors.New("rates: usd has no rate, since all others are rates to it")
	}
	rate, err := decimal(value)
	if err != nil || rate.Sign() == 0 || rate.Cmp(big.NewRat(maxRate, 1)) > 0 {
		return nil, fmt.Errorf("rates: %s %.40q must be a decimal number of US dollars above 0, at most %d, such as \"1.0842\"", code, value, maxRate)
	}
	return rate, nil
}

const (
	maxRate       = 1_000_000 // US dollars for one unit
	maxRateDigits = 12        // behind the point
)

// decimal reads plain digits with at most one point: no sign, no exponent, no
// grouping.
func decimal(s string) (*big.Rat, error) {
	whole, frac, hasPoint := strings.Cut(s, ".")
	if !isDigits(whole) || len(whole) > 7 || (hasPoint && !isDigits(frac)) || len(frac) > maxRateDigits {
		return nil, errors.New("not a plain decimal number")
	}
	value, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, errors.New("not a plain decimal number")
	}
	return value, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
