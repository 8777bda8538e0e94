package stripe

import (
	"context"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// byInvoice prices what finalises or pays an invoice by what it comes to. A
// draft may still change until it is finalised, and what it comes to then is
// booked in full; an open invoice cannot grow.
// https://docs.stripe.com/invoicing/overview#invoice-statuses
func byInvoice(status string) pricing {
	return func(ctx context.Context, m *metering) error {
		obj, err := m.target(ctx)
		if err != nil {
			return err
		}
		if err := obj.boundedInvoice(); err != nil {
			return err
		}
		if obj.Status != status {
			return refuse(vendors.Invalid, "this invoice is not "+status+", so it cannot be metered for this")
		}
		price, err := m.profile.price(obj.Currency, obj.due())
		m.Price = max(m.Price, price)
		return err
	}
}

// byItem prices an item together with all else that is on its invoice, so that
// the invoice has one hold.
func byItem(ctx context.Context, m *metering) error {
	invoice, ok := m.Request.Body.Get("invoice")
	switch {
	case !ok:
		return &vendors.Refusal{
			Code: vendors.Unmetered, Param: "invoice",
			Message: "an item without an invoice goes onto whatever invoice its customer gets next, which Stripe may collect by itself; name a draft",
		}
	case !isID(invoice, "in_"):
		return &vendors.Refusal{Code: vendors.Invalid, Param: "invoice", Message: "invoice is not an object ID"}
	}
	m.Target = invoice
	obj, err := m.target(ctx)
	if err != nil {
		return err
	}
	switch {
	case obj.Status != "draft":
		return refuse(vendors.Invalid, "items are added to a draft only")
	case obj.AutoAdvance:
		return refuse(vendors.Unmetered, "an item on this invoice is not metered: "+collects)
	}
	if err := obj.boundedInvoice(); err != nil {
		return err
	}
	amount, err := m.itemAmount(ctx, obj.Currency)
	if err != nil {
		return err
	}
	return m.atLeast(obj.Currency, obj.due()+amount)
}

// boundedInvoice refuses an invoice whose amount others change than who adds to it.
func (o object) boundedInvoice() error {
	switch {
	case !isNull(o.Subscription), o.Parent.Type == "subscription_details":
		return refuse(vendors.Unmetered, "this invoice belongs to a subscription, which charges by itself, outside of the proxy")
	case o.AutomaticTax.Enabled:
		return refuse(vendors.Unmetered, "this invoice has automatic tax, which Stripe adds after it was metered")
	}
	return nil
}

// itemAmount is what an item adds: its amount, or its unit amount or that of its
// price as often as its quantity. It has to be in the invoice's currency.
func (m *metering) itemAmount(ctx context.Context, currency string) (int64, error) {
	body := m.Request.Body
	if given, ok := body.Get("currency"); ok && given != currency {
		return 0, &vendors.Refusal{Code: vendors.Invalid, Param: "currency", Message: "the invoice is in another currency"}
	}
	_, amount := body.Get("amount")
	_, unit := body.Get("unit_amount")
	price, priced := body.Get("price")
	_, several := body.Get("quantity")
	switch {
	case amount && !unit && !priced && !several:
		return m.amount("amount")
	case unit && !amount && !priced:
		each, err := m.amount("unit_amount")
		if err != nil {
			return 0, err
		}
		return m.times(each)
	case priced && !amount && !unit:
		each, err := m.priceOf(ctx, price, currency)
		if err != nil {
			return 0, err
		}
		return m.times(each)
	}
	return 0, &vendors.Refusal{Code: vendors.Invalid, Param: "amount", Message: "an item needs either amount, or unit_amount or price with an optional quantity"}
}

// times multiplies by the quantity that was asked for.
func (m *metering) times(each int64) (int64, error) {
	quantity, err := m.amount("quantity")
	if err != nil {
		return 0, err
	}
	quantity = max(quantity, 1)
	if each > maxAmount/quantity {
		return 0, &vendors.Refusal{Code: vendors.AmountInvalid, Param: "quantity", Message: "the item comes to more than Stripe's largest amount"}
	}
	return each * quantity, nil
}

// priceOf looks up a price's unit amount, which nobody can change once it is made.
// https://docs.stripe.com/api/prices/update
func (m *metering) priceOf(ctx context.Context, id, currency string) (int64, error) {
	if !isID(id, "price_") {
		return 0, &vendors.Refusal{Code: vendors.Invalid, Param: "price", Message: "price is not an object ID"}
	}
	obj, err := fetch(ctx, m.view, "/v1/prices/", id, nil)
	switch {
	case err != nil:
		return 0, err
	case obj.Type != "one_time" || obj.BillingScheme != "per_unit" || obj.UnitAmount == nil || *obj.UnitAmount < 1 || *obj.UnitAmount > maxAmount ||
		!isNull(obj.TransformQuantity) || !isNull(obj.CustomUnitAmount):
		return 0, &vendors.Refusal{
			Code: vendors.Unmetered, Param: "price",
			Message: "only a one-time price of one whole unit amount is metered; what another one comes to is decided later",
		}
	case obj.Currency != currency:
		return 0, &vendors.Refusal{Code: vendors.Unmetered, Param: "price", Message: "the price is in another currency than the invoice"}
	}
	return *obj.UnitAmount, nil
}
