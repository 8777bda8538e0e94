package framing

// Ends are the offsets at which messages end in bytes that arrive one by one, up
// to a flaw.
func Ends(b []byte) (ends []int, flaw string) {
	var w watcher
	for i := range b {
		if flaw = w.feed(b[i : i+1]); flaw != "" {
			return ends, flaw
		}
		if w.state == inRequestLine && len(w.line) == 0 {
			ends = append(ends, i+1)
		}
	}
	return ends, ""
}

// Whole is the flaw of bytes that arrive at once.
func Whole(b []byte) string {
	var w watcher
	return w.feed(b)
}
