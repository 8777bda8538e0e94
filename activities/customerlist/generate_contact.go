package customerlist

import "fmt"

const (
	// noEmailEvery and noPhoneEvery: one customer in each block of this many has no
	// such address, which makes 2 % and 10 %.
	noEmailEvery = 50
	noPhoneEvery = 10
)

// generatedContact is a made-up customer with made-up addresses: of a domain that
// is kept for examples (RFC 2606), and of the exchange 555 of real US area codes,
// beginning with the hundred numbers of each that are kept for fiction. Each
// customer of a list has numbers of their own, so that a text can be told by them.
func generatedContact(seed int64, i int) Contact {
	c := Contact{Customer: generated(seed, i)}
	if i != i/noEmailEvery*noEmailEvery+int(draw(seed, "no email", i/noEmailEvery)%noEmailEvery) {
		c.Email = fmt.Sprintf("customer-%06d@example.com", i+1)
	}
	if i != i/noPhoneEvery*noPhoneEvery+int(draw(seed, "no phone", i/noPhoneEvery)%noPhoneEvery) {
		c.Phone = generatedPhone(i)
	}
	return c
}

// generatedPhone uses up 555-01xx in every area code, then 555-02xx, and so on.
func generatedPhone(i int) string {
	codes := areaCodes()
	hundred := i / 100
	return fmt.Sprintf("+1%d555%02d%02d", codes[hundred%len(codes)], 1+hundred/len(codes), i%100)
}

// areaCodes are geographic ones of the United States: with 100 numbers in each of
// 99 hundreds, enough for MaxCustomers.
func areaCodes() []int {
	return []int{
		201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228,
		229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302,
		303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330,
		334, 336, 337, 339, 347, 351, 352, 360, 361, 386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412,
		413, 414, 415, 417, 419, 423, 425, 430, 432, 434, 435, 440, 443, 469, 478, 479, 480, 484, 501, 502,
		503, 504, 505, 507, 508, 509, 510, 512, 513, 515,
	}
}
