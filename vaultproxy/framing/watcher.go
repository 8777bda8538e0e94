package framing

import (
	"bytes"
	"errors"
	"strings"
)

// maxLine bounds what is kept of one line, in bytes. net/http refuses longer
// headers by itself.
const maxLine = 64 << 10

// state is what the next byte belongs to.
type state int

const (
	inRequestLine state = iota
	inHeaders
	inBody      // left bytes of it are to come
	inChunkSize // a line
	inChunk     // left bytes of it are to come
	afterChunk  // the line end behind a chunk
	inTrailers
)

// watcher follows the messages on one connection.
type watcher struct {
	state state
	line  []byte // what has arrived of the line
	named bool   // of a request line: its method has arrived
	left  uint64
	head  head
}

// feed takes the next bytes and returns what is wrong with them, if anything is.
func (w *watcher) feed(b []byte) (flaw string) {
	for len(b) > 0 {
		if w.state == inBody || w.state == inChunk {
			n := min(w.left, uint64(len(b)))
			b, w.left = b[n:], w.left-n
			if w.left == 0 {
				w.bodyEnds()
			}
			continue
		}
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			end = len(b)
		}
		if w.state == inRequestLine && !w.named && !w.beginsLikeARequest(b[:end]) {
			return notARequest
		}
		if w.line, b = append(w.line, b[:end]...), b[end:]; len(w.line) > maxLine {
			return "a line is too long"
		}
		if w.line[len(w.line)-1] != '\n' {
			return ""
		}
		line, ok := strings.CutSuffix(string(w.line), "\r\n")
		w.line = w.line[:0]
		if !ok || strings.ContainsAny(line, "\r\x00") {
			return "a line does not end in CR LF, or has a CR or NUL in it"
		}
		if err := w.take(line); err != nil {
			return err.Error()
		}
	}
	return ""
}

// beginsLikeARequest looks at what has arrived of a request line, up to the first
// space: what is longer than its message says shows here, before a line of it is
// whole.
func (w *watcher) beginsLikeARequest(b []byte) bool {
	for _, c := range b {
		if c == ' ' {
			w.named = true
			return true
		}
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}

func (w *watcher) bodyEnds() {
	if w.state == inChunk {
		w.state = afterChunk
		return
	}
	w.state = inRequestLine
}

// take takes a whole line.
func (w *watcher) take(line string) (err error) {
	switch w.state {
	case inRequestLine:
		w.head, err = begin(line)
		w.state, w.named = inHeaders, false
	case inHeaders:
		if line != "" {
			return w.head.add(line)
		}
		return w.headEnds()
	case inChunkSize:
		if w.left, err = chunkSize(line); err != nil {
			return err
		}
		if w.state = inChunk; w.left == 0 {
			w.state = inTrailers
		}
	case afterChunk:
		if w.state = inChunkSize; line != "" {
			return errors.New("a chunk is longer than it says")
		}
	case inTrailers:
		if w.state = inRequestLine; line != "" {
			return errors.New("the body has trailers")
		}
	case inBody, inChunk: // are no lines
	}
	return err
}

func (w *watcher) headEnds() error {
	chunked, length, err := w.head.framing()
	switch {
	case err != nil:
		return err
	case chunked:
		w.state = inChunkSize
	case length > 0:
		w.state, w.left = inBody, length
	default:
		w.state = inRequestLine
	}
	return nil
}
