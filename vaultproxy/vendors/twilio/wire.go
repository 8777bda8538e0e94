package twilio

import "github.com/tollgate/tollgate/vaultproxy/vendors"

// Wire builds what is sent. Nothing at Twilio can carry a stamp without being
// seen by whoever gets the text.
func (*Profile) Wire(q vendors.Quote, _ vendors.Stamp) vendors.Wire {
	w := vendors.Wire{Method: q.Request.Method, Target: q.Request.Path}
	if len(q.Request.Query) > 0 {
		w.Target += "?" + q.Request.Query.Encode()
	}
	if !q.Request.Read() {
		w.ContentType = "application/x-www-form-urlencoded"
		w.Body = []byte(q.Request.Body.Encode())
	}
	return w
}
