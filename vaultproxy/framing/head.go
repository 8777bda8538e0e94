package framing

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// head is what a message's head says of where the message ends.
type head struct {
	proto            string
	lengths, codings []string
	hosts            int
}

const notARequest = "a request line is not a method in capitals, a target and a version, or more was sent than the request says"

// begin reads a request line: method, target and version with one space between.
func begin(line string) (head, error) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return head{}, errors.New(notARequest)
	}
	if parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return head{}, errors.New("the protocol is another than HTTP/1.1 or HTTP/1.0")
	}
	return head{proto: parts[2]}, nil
}

// add reads a header line.
func (h *head) add(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !httpguts.ValidHeaderFieldName(name) {
		return errors.New("a header line is folded, or its name is malformed")
	}
	value = strings.Trim(value, " \t")
	switch strings.ToLower(name) {
	case "content-length":
		h.lengths = append(h.lengths, value)
	case "transfer-encoding":
		h.codings = append(h.codings, value)
	case "host":
		h.hosts++
	}
	return nil
}

// framing tells how the body ends: by chunks, or after length bytes.
func (h *head) framing() (chunked bool, length uint64, err error) {
	switch {
	case h.hosts > 1:
		return false, 0, errors.New("the Host header is given twice")
	case len(h.lengths)+len(h.codings) > 1:
		return false, 0, errors.New("Content-Length and Transfer-Encoding stand together, or one of them is given twice")
	case len(h.codings) == 1:
		if h.proto != "HTTP/1.1" || !strings.EqualFold(h.codings[0], "chunked") {
			return false, 0, errors.New("the Transfer-Encoding is another than chunked in HTTP/1.1")
		}
		return true, 0, nil
	case len(h.lengths) == 1:
		length, err = digits(h.lengths[0], 10, 18)
	}
	return false, length, err
}

// chunkSize reads the line before a chunk. Extensions are refused: nobody needs
// them, and not everybody agrees where they end.
func chunkSize(line string) (uint64, error) { return digits(line, 16, 15) }

// digits reads digits and nothing else: no sign, no space, no prefix.
func digits(text string, base, most int) (uint64, error) {
	if text == "" || len(text) > most || strings.Trim(strings.ToLower(text), "0123456789abcdef"[:base]) != "" {
		return 0, errors.New("a length is not written in plain digits")
	}
	return strconv.ParseUint(text, base, 64) //nolint:wrapcheck // cannot fail: digits that fit
}
