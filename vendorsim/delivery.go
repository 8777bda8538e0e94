package vendorsim

import (
	"bytes"
	"maps"
	"net"
	"net/http"
	"strconv"
)

// answer is a complete HTTP answer, held in memory so that it can be stored, replayed or lost.
type answer struct {
	status    int
	header    http.Header // beyond those that every answer has; nil if none
	body      []byte
	requestID string
}

// manner is how an answer leaves the stand-in.
type manner int

const (
	whole     manner = iota // sent
	severed                 // not sent: connection closed
	resetting               // not sent: connection reset
	halved                  // half of the body sent, then closed
)

// deliver lets an answer leave in the given manner.
func deliver(w http.ResponseWriter, a answer, how manner) {
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Type", "application/json")
	switch how {
	case whole:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	case halved:
		sever(w, false, halfAnswer(w.Header(), a))
	case resetting:
		sever(w, true, nil)
	case severed:
		sever(w, false, nil)
	}
}

// sever sends last words, if any, as they are and drops the connection.
func sever(w http.ResponseWriter, reset bool, last []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 and recorders cannot be hijacked; this is net/http's own way of dropping out.
		panic(http.ErrAbortHandler)
	}
	if len(last) > 0 {
		_, _ = conn.Write(last)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// halfAnswer promises the whole body and carries half of it.
func halfAnswer(header http.Header, a answer) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(a.status) + " " + http.StatusText(a.status) + "\r\n")
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	_ = header.Write(&b)
	b.WriteString("\r\n")
	b.Write(a.body[:len(a.body)/2])
	return b.Bytes()
}
