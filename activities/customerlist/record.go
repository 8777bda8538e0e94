package customerlist

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxID is the longest customer or payment method ID taken, in characters.
const maxID = 255

// columns that a list must have, and those that it may have besides.
func requiredColumns() []string {
	return []string{"customer", "payment_method", "amount_cents", "currency"}
}

func optionalColumns() []string { return []string{"email", "phone", "name"} }

// format turns one line into a customer and how to reach them. The error's text
// is the problem alone; the caller knows file and line.
type format interface {
	parse(line []byte) (Contact, error)
}

// csvFormat maps column names to positions.
type csvFormat struct {
	width   int
	columns map[string]int
}

func newCSVFormat(header []byte) (*csvFormat, error) {
	names, err := splitCSV(header)
	if err != nil {
		return nil, err
	}
	f := &csvFormat{width: len(names), columns: make(map[string]int, len(names))}
	for i, name := range names {
		if !slices.Contains(requiredColumns(), name) && !slices.Contains(optionalColumns(), name) {
			return nil, fmt.Errorf("column %s is not known; the header takes %s, and optionally %s",
				quote(name), strings.Join(requiredColumns(), ","), strings.Join(optionalColumns(), ","))
		}
		if _, twice := f.columns[name]; twice {
			return nil, fmt.Errorf("column %s is there twice", name)
		}
		f.columns[name] = i
	}
	for _, name := range requiredColumns() {
		if _, ok := f.columns[name]; !ok {
			return nil, fmt.Errorf("column %s is missing from the header", name)
		}
	}
	return f, nil
}

func (f *csvFormat) parse(line []byte) (Contact, error) {
	fields, err := splitCSV(line)
	if err != nil {
		return Contact{}, err
	}
	if len(fields) != f.width {
		return Contact{}, fmt.Errorf("has %d fields, the header has %d", len(fields), f.width)
	}
	field := func(name string) string {
		at, ok := f.columns[name]
		if !ok {
			return ""
		}
		return fields[at]
	}
	customer, err := newCustomer(field("customer"), field("payment_method"), field("amount_cents"), field("currency"))
	return Contact{Customer: customer, Email: field("email"), Phone: field("phone")}, err
}

func splitCSV(line []byte) ([]string, error) {
	if bytes.IndexByte(line, '"') < 0 {
		fields := strings.Split(string(line), ",")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		return fields, nil
	}
	r := csv.NewReader(bytes.NewReader(line))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if err != nil {
		return nil, errors.New("quotes are not balanced; a quoted field must end on its own line")
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, nil
}

// jsonFormat reads one flat object a line.
type jsonFormat struct{}

func (jsonFormat) parse(line []byte) (Contact, error) {
	fields, err := flatObject(line)
	if err != nil {
		return Contact{}, err
	}
	text := func(name string) (string, error) {
		value, ok := fields[name]
		if !ok {
			return "", fmt.Errorf("%s is missing", name)
		}
		s, ok := value.(string)
		if !ok {
			return "", fmt.Errorf("%s must be a string", name)
		}
		return s, nil
	}
	id, err := text("customer")
	if err != nil {
		return Contact{}, err
	}
	method, err := text("payment_method")
	if err != nil {
		return Contact{}, err
	}
	currency, err := text("currency")
	if err != nil {
		return Contact{}, err
	}
	amount, ok := fields["amount_cents"]
	if !ok {
		return Contact{}, errors.New("amount_cents is missing")
	}
	number, ok := amount.(json.Number)
	if !ok {
		return Contact{}, errors.New("amount_cents must be a number")
	}
	// Nobody can be charged the wrong amount by what is wrong with these two.
	email, _ := fields["email"].(string)
	phone, _ := fields["phone"].(string)
	customer, err := newCustomer(id, method, number.String(), currency)
	return Contact{Customer: customer, Email: email, Phone: phone}, err
}

// flatObject reads names and scalar values by token, since decoding into a
// struct would silently take the last of two equal names.
func flatObject(line []byte) (map[string]any, error) {
	notObject := errors.New("is not one flat JSON object")
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, notObject
	}
	fields := make(map[string]any, len(requiredColumns()))
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, notObject
		}
		name, ok := tok.(string)
		if !ok {
			return nil, notObject
		}
		if !slices.Contains(requiredColumns(), name) && !slices.Contains(optionalColumns(), name) {
			return nil, fmt.Errorf("%s is not a known name", quote(name))
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		value, err := dec.Token()
		if err != nil {
			return nil, notObject
		}
		if _, nested := value.(json.Delim); nested {
			return nil, fmt.Errorf("%s must be a plain value", name)
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, notObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after the object; write one object a line")
	}
	return fields, nil
}

func newCustomer(id, method, amount, currency string) (Customer, error) {
	if err := checkID("customer", id); err != nil {
		return Customer{}, err
	}
	if err := checkID("payment_method", method); err != nil {
		return Customer{}, err
	}
	cents, err := parseCents(amount)
	if err != nil {
		return Customer{}, err
	}
	if !strings.EqualFold(currency, "usd") {
		return Customer{}, fmt.Errorf("currency %s is not supported; only usd is", quote(currency))
	}
	return Customer{ID: id, PaymentMethod: method, AmountCents: cents, Currency: "usd"}, nil
}

func checkID(column, id string) error {
	if id == "" {
		return fmt.Errorf("%s is empty", column)
	}
	if len(id) > maxID {
		return fmt.Errorf("%s has %d characters, at most %d are taken", column, len(id), maxID)
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return fmt.Errorf("%s may have only letters, digits, _ and -", column)
		}
	}
	return nil
}

func parseCents(text string) (int64, error) {
	digits, negative := strings.CutPrefix(text, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("amount_cents %s is not a whole number of cents", quote(text))
	}
	cents, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case negative:
		return 0, fmt.Errorf("amount_cents %s is negative", quote(text))
	case err != nil || cents > MaxAmountCents:
		return 0, fmt.Errorf("amount_cents %s is too large, at most %d", quote(text), MaxAmountCents)
	case cents == 0:
		return 0, errors.New("amount_cents is zero; leave out customers with nothing to pay")
	}
	return cents, nil
}

// quote shows a value from the file, cut so that a message stays one short line.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strconv.Quote(s)
}
