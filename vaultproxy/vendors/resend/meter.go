package resend

import (
	"context"
	"strconv"

	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Meter works out the price: each recipient of each e-mail counts. Whether the
// sender is allowed is asked here and not before, since a call that was made must
// be answered also when the list of domains has changed.
func (p *Profile) Meter(_ context.Context, r vendors.Request, _ vendors.View) (vendors.Quote, error) {
	op, err := operation(r.Method, r.Path)
	if err != nil {
		return vendors.Quote{}, err
	}
	q := vendors.Quote{Request: r, Operation: op, Template: r.Path}
	if op == read {
		q.Template = "/emails/{id}"
		return q, nil
	}
	emails, err := decode(r.JSON, op == sendBatch)
	if err != nil || len(emails) == 0 {
		return q, refuse(vendors.Invalid, "", "the e-mail cannot be read")
	}
	var recipients int64
	for i, e := range emails {
		at := ""
		if op == sendBatch {
			at = "[" + strconv.Itoa(i) + "]."
		}
		if err := p.checkSender(e, at); err != nil {
			return q, err
		}
		recipients += e.recipients()
	}
	// At most 100 e-mails of 150 recipients at a dollar: no overflow.
	q.Price = money.USD(recipients) * p.price
	return q, nil
}

func (p *Profile) checkSender(e email, at string) error {
	sender, err := parseAddress(e.From)
	if err != nil {
		return refuse(vendors.Ambiguous, at+"from", "from %s", err.Error())
	}
	if isInternationalised(sender.domain) && !p.from[sender.domain] {
		return refuse(vendors.ScopeDenied, at+"from", "from has an internationalised domain, which may look like another; it is not in this proxy's list of domains")
	}
	if !p.from[sender.domain] {
		return refuse(vendors.ScopeDenied, at+"from", "e-mails may not be sent from the domain %.80s: it is not, exactly so, in this proxy's list (--resend-from-domains)", sender.domain)
	}
	return nil
}
