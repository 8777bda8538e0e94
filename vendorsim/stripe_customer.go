package vendorsim

import (
	"hash/fnv"
	"net/http"
	"strings"
	"time"
)

// customer is a Customer.
type customer struct {
	identity
	name, email, phone, description string
	metadata                        map[string]string
}

func (cu *customer) field(name string) string {
	if name == "email" {
		return cu.email
	}
	return ""
}

// customerView is a Customer as Stripe shows it.
type customerView struct {
	ID          string            `json:"id"`
	Object      string            `json:"object"`
	Balance     int64             `json:"balance"`
	Created     int64             `json:"created"`
	Currency    *string           `json:"currency"`
	Delinquent  bool              `json:"delinquent"`
	Description *string           `json:"description"`
	Email       *string           `json:"email"`
	Livemode    bool              `json:"livemode"`
	Metadata    map[string]string `json:"metadata"`
	Name        *string           `json:"name"`
	Phone       *string           `json:"phone"`
}

func (cu *customer) view() *customerView {
	return &customerView{
		ID: cu.id, Object: "customer", Created: cu.created, Description: orNull(cu.description),
		Email: orNull(cu.email), Metadata: cu.metadata, Name: orNull(cu.name), Phone: orNull(cu.phone),
	}
}

// customerExists holds the convention that every customer does unless its id says otherwise.
func customerExists(id string) bool {
	rest, ok := strings.CutPrefix(id, "cus_")
	return ok && isWord(rest) && !strings.Contains(strings.ToLower(rest), "missing")
}

// impliedCustomer derives a customer from an id that nobody created.
func impliedCustomer(id string) *customer {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	born := time.Date(2023, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	name := strings.TrimPrefix(id, "cus_")
	return &customer{
		identity: identity{id: id, created: born + int64(h.Sum32()%(365*24*3600))},
		name:     "Customer " + name, email: strings.ToLower(name) + "@example.com",
		metadata: map[string]string{},
	}
}

// customerParam reads and checks the customer of a payment, "" if there is none.
func (s *stripe) customerParam(p params) (string, *stripeError) {
	id, e := p.text("customer")
	if e != nil || id == "" {
		return "", e
	}
	if !customerExists(id) {
		return "", noSuch(http.StatusBadRequest, "customer", "customer", id)
	}
	return id, nil
}

// createCustomer prepares POST /v1/customers.
func (s *stripe) createCustomer(c *call) (plan, *stripeError) {
	cu := &customer{}
	e := c.params.textsInto([]textParam{
		{"name", &cu.name}, {"email", &cu.email}, {"phone", &cu.phone}, {"description", &cu.description},
	})
	if e != nil {
		return nil, e
	}
	if cu.metadata, e = c.params.metadata(); e != nil {
		return nil, e
	}
	if _, e = c.params.expands(""); e != nil {
		return nil, e
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		cu.id, cu.created = s.ids.id("cus_"), c.now.Unix()
		s.store.customers.add(cu, "email="+cu.email)
		return outcome{status: http.StatusOK, view: cu.view()}
	}, nil
}

// updateCustomer prepares POST /v1/customers/{id}. One that nobody created is made by it.
func (s *stripe) updateCustomer(c *call) (plan, *stripeError) {
	var to customer
	e := c.params.textsInto([]textParam{
		{"name", &to.name}, {"email", &to.email}, {"phone", &to.phone}, {"description", &to.description},
	})
	if e != nil {
		return nil, e
	}
	if to.metadata, e = c.params.metadata(); e != nil {
		return nil, e
	}
	if !customerExists(c.id) {
		return nil, noSuch(http.StatusNotFound, "customer", "id", c.id)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		old, made := s.store.customers.byID[c.id]
		if !made {
			old = impliedCustomer(c.id)
			s.store.customers.add(old)
		}
		for _, text := range []struct{ to, from *string }{
			{&old.name, &to.name}, {&old.email, &to.email}, {&old.phone, &to.phone}, {&old.description, &to.description},
		} {
			if *text.from != "" {
				*text.to = *text.from
			}
		}
		old.metadata = mergeMetadata(old.metadata, to.metadata)
		return outcome{status: http.StatusOK, view: old.view()}
	}, nil
}

// getCustomer prepares GET /v1/customers/{id}.
func (s *stripe) getCustomer(c *call) (plan, *stripeError) {
	if _, e := c.params.expands(""); e != nil {
		return nil, e
	}
	s.store.mu.Lock()
	cu, made := s.store.customers.byID[c.id]
	s.store.mu.Unlock()
	if !made {
		if !customerExists(c.id) {
			return nil, noSuch(http.StatusNotFound, "customer", "id", c.id)
		}
		cu = impliedCustomer(c.id)
	}
	return func() outcome {
		s.store.mu.Lock()
		defer s.store.mu.Unlock()
		return outcome{status: http.StatusOK, view: cu.view()}
	}, nil
}
