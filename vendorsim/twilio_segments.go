package vendorsim

import "strings"

// twilioSegments counts what a text is charged for, by its own reading of the
// rules: a stand-in that shared the meter's would share its mistakes.
func twilioSegments(body string) int64 {
	const plain = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡" +
		"ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	const escaped = "\f^{}\\[~]|€"
	single, multi := 160, 153
	width := func(r rune) int {
		if strings.ContainsRune(escaped, r) {
			return 2
		}
		return 1
	}
	if strings.ContainsFunc(body, func(r rune) bool { return !strings.ContainsRune(plain+escaped, r) }) {
		single, multi = 70, 67
		width = func(r rune) int {
			if r >= 1<<16 {
				return 2
			}
			return 1
		}
	}
	sum, used, count := 0, 0, int64(1)
	for _, r := range body {
		w := width(r)
		sum += w
		if used+w > multi {
			used, count = 0, count+1
		}
		used += w
	}
	if sum <= single {
		return 1
	}
	return count
}
