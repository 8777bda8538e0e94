package vendorsim

import "sync/atomic"

// idMint makes vendor-like ids without a lock. The ids of one mint never repeat: they encode a
// counter through a bijection.
type idMint struct {
	salt uint64
	next atomic.Uint64
}

// id returns prefix followed by 22 letters and digits.
func (m *idMint) id(prefix string) string {
	n := m.next.Add(1)
	buf := make([]byte, 0, len(prefix)+22)
	buf = append(buf, prefix...)
	buf = appendBase62(buf, scramble(m.salt+n))
	buf = appendBase62(buf, scramble(m.salt^(n<<32|0x5bd1e995)))
	return string(buf)
}

// appendBase62 appends the eleven base-62 digits of word.
func appendBase62(buf []byte, word uint64) []byte {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for range 11 {
		buf = append(buf, digits[word%62])
		word /= 62
	}
	return buf
}

// scramble is the finalizer of SplitMix64, a bijection on 64-bit words.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
