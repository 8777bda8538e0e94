package vaultproxy

// allow is the fourth step: exact method and path template, else denied.
func (c *call) allow() *denial {
	if c.grant.allow.Allows(c.request.Method, c.request.Path) {
		return nil
	}
	return deny(EndpointNotAllowed, "this vault key's allowed_endpoints do not list this method and path")
}
