package twilio

import "unicode/utf8"

// Sizes of a text and of its parts, in septets for GSM-7 and in 16-bit units
// for UCS-2: https://www.twilio.com/docs/glossary/what-is-gsm-7-character-encoding
// and https://www.twilio.com/docs/glossary/what-is-ucs-2-character-encoding.
const (
	gsmAlone = 160
	gsmPart  = 153
	ucsAlone = 70
	ucsPart  = 67
)

// gsmBasic is the basic character set of 3GPP TS 23.038, section 6.2.1, without
// its escape.
const gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// gsmExtension takes an escape and a septet each: section 6.2.1.1.
const gsmExtension = "\f^{}\\[~]|€"

// segments is how many messages a text is charged for. That a sender has its
// text made smaller (SmartEncoded) is not counted on: whether it helps is known
// only afterwards.
func segments(body string) int64 {
	sizes, isGSM := septets(body)
	alone, part := gsmAlone, gsmPart
	if !isGSM {
		sizes = units(body)
		alone, part = ucsAlone, ucsPart
	}
	total, parts, room := 0, int64(1), part
	for _, size := range sizes {
		total += size
		if size > room { // a pair is not torn apart
			parts, room = parts+1, part
		}
		room -= size
	}
	if total <= alone {
		return 1
	}
	return parts
}

// septets are the sizes of the characters, if GSM-7 has them all.
func septets(body string) (sizes []int, ok bool) {
	sizes = make([]int, 0, len(body))
	for _, r := range body {
		switch {
		case contains(gsmBasic, r):
			sizes = append(sizes, 1)
		case contains(gsmExtension, r):
			sizes = append(sizes, 2)
		default:
			return nil, false
		}
	}
	return sizes, true
}

// units are the sizes of the characters in UTF-16.
func units(body string) []int {
	sizes := make([]int, 0, utf8.RuneCountInString(body))
	for _, r := range body {
		size := 1
		if r > 0xffff {
			size = 2
		}
		sizes = append(sizes, size)
	}
	return sizes
}

func contains(set string, r rune) bool {
	for _, c := range set {
		if c == r {
			return true
		}
	}
	return false
}
