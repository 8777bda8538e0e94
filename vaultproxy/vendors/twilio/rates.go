package twilio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nyaruka/phonenumbers"
	"go.yaml.in/yaml/v3"

	"github.com/tollgate/tollgate/vaultproxy/money"
)

// Rates is a rate card: what things cost by country of the recipient. The zero
// value is none.
type Rates struct {
	asOf      time.Time
	failed    money.USD
	countries map[string]country
}

// country is what it costs to reach numbers of one country. Zero is no price:
// the thing is refused there.
type country struct {
	sms    money.USD // a segment, with the carriers' fees
	mms    money.USD // a message, with the carriers' fees
	call   money.USD // a minute
	verify money.USD // a verification by SMS, with its message
}

// AsOf is the day that the card was read from Twilio's price list, in UTC.
func (r Rates) AsOf() time.Time { return r.asOf }

// card is the file.
type card struct {
	AsOf          string                 `yaml:"as_of"`
	Currency      string                 `yaml:"currency"`
	FailedMessage price                  `yaml:"failed_message"`
	Countries     map[string]cardCountry `yaml:"countries"`
}

type cardCountry struct {
	SMS    price `yaml:"sms"`
	MMS    price `yaml:"mms"`
	Call   price `yaml:"call"`
	Verify price `yaml:"verify"`
}

// price is an amount of dollars, read from the digits that are written and from
// nothing else.
type price money.USD

// maxPrice is far above anything that one segment, message or minute costs: more
// is a slip of the decimal point.
const maxPrice = 100 * money.Dollar

func (p *price) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return fmt.Errorf("line %d: a price is a decimal number of dollars, such as \"0.0079\"", node.Line)
	}
	amount, err := money.Parse(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	if amount == 0 || amount > maxPrice {
		return fmt.Errorf("line %d: a price is above 0 and at most %s dollars; leave out what must not be sent", node.Line, maxPrice)
	}
	*p = price(amount)
	return nil
}

// maxCard bounds the file, in bytes.
const maxCard = 1 << 20

// ParseRates reads a rate card, strictly: a name that it does not know, a price
// that is not a plain decimal and a country that there is not are errors.
// Prices are US dollars, exact to a micro-USD. Its errors name the line.
func ParseRates(text []byte) (Rates, error) {
	if len(text) > maxCard {
		return Rates{}, errors.New("rate card: the file is larger than 1 MiB")
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var c card
	if err := dec.Decode(&c); err != nil {
		return Rates{}, fmt.Errorf("rate card: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Rates{}, errors.New("rate card: the file holds more than one document")
	}
	return c.rates()
}

func (c card) hasMessages() bool {
	for _, prices := range c.Countries {
		if prices.SMS != 0 || prices.MMS != 0 {
			return true
		}
	}
	return false
}

func (c card) rates() (Rates, error) {
	asOf, err := time.Parse(time.DateOnly, c.AsOf)
	if err != nil {
		return Rates{}, errors.New("rate card: as_of must be the day that the prices were looked up, such as 2026-11-24")
	}
	if c.Currency != "usd" {
		return Rates{}, errors.New("rate card: currency must be usd")
	}
	if len(c.Countries) == 0 {
		return Rates{}, errors.New("rate card: countries is empty")
	}
	known := phonenumbers.GetSupportedRegions()
	r := Rates{asOf: asOf, failed: money.USD(c.FailedMessage), countries: make(map[string]country, len(c.Countries))}
	for code, prices := range c.Countries {
		if !known[code] {
			return Rates{}, fmt.Errorf("rate card: %.8q is no country: write two capital letters, such as US", code)
		}
		if prices == (cardCountry{}) {
			return Rates{}, fmt.Errorf("rate card: %s has no price", code)
		}
		r.countries[code] = country{
			sms: money.USD(prices.SMS), mms: money.USD(prices.MMS), call: money.USD(prices.Call), verify: money.USD(prices.Verify),
		}
	}
	if c.FailedMessage == 0 && c.hasMessages() {
		return Rates{}, errors.New("rate card: failed_message is missing: what a message costs that ends as failed")
	}
	return r, nil
}
