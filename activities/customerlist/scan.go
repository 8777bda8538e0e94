package customerlist

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// maxLine is the longest line taken, in bytes, its end included.
const maxLine = 16 << 10

// item is one customer with the bytes of its line.
type item struct {
	number   int // position in the list, from zero
	line     int // in the file, from one
	offset   int64
	customer Customer
}

// scanned describes a file that was read to its end.
type scanned struct {
	sha256 string
	size   int64
	count  int
	format format
}

// scanFile reads the whole list once, checks each line by itself and visits the
// items in order. raw gets every byte of the file in order; an item's bytes
// come after its visit.
func scanFile(ctx context.Context, path string, raw io.Writer, visit func(item) error) (scanned, error) {
	f, err := openList(path)
	if err != nil {
		return scanned{}, err
	}
	defer func() { _ = f.Close() }()

	hash := sha256.New()
	in := bufio.NewReaderSize(f, maxLine)
	var out scanned
	for number := 1; ; number++ {
		if number%1024 == 0 && ctx.Err() != nil {
			return scanned{}, context.Cause(ctx)
		}
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return scanned{}, &Error{Source: path, Line: number, Problem: fmt.Sprintf("the line is longer than %d bytes", maxLine)}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return scanned{}, fmt.Errorf("read customer list: %w", err)
		}
		atEnd := err != nil
		if len(line) > 0 {
			if err := out.take(path, number, line, visit); err != nil {
				return scanned{}, err
			}
			hash.Write(line)
			if _, err := raw.Write(line); err != nil {
				return scanned{}, err
			}
			out.size += int64(len(line))
		}
		if atEnd {
			break
		}
	}
	if out.count == 0 {
		return scanned{}, &Error{Source: path, Problem: "the list has no customers"}
	}
	out.sha256 = hex.EncodeToString(hash.Sum(nil))
	return out, nil
}

// take handles one line: the first one that is not empty decides the format.
func (s *scanned) take(path string, number int, line []byte, visit func(item) error) error {
	fault := func(problem string) error { return &Error{Source: path, Line: number, Problem: problem} }
	content := trimLine(line, number == 1)
	if len(content) == 0 {
		return nil
	}
	if !utf8.Valid(content) {
		return fault("the line is not valid UTF-8")
	}
	if s.format == nil {
		switch content[0] {
		case '[':
			return fault("this looks like a JSON array; write one object a line")
		case '{':
			s.format = jsonFormat{}
		default:
			header, err := newCSVFormat(content)
			if err != nil {
				return fault(err.Error())
			}
			s.format = header
			return nil
		}
	}
	contact, err := s.format.parse(content)
	if err != nil {
		return fault(err.Error())
	}
	if s.count == MaxCustomers {
		return fault(fmt.Sprintf("more than %d customers; split the list", MaxCustomers))
	}
	err = visit(item{number: s.count, line: number, offset: s.size, customer: contact.Customer})
	s.count++
	return err
}

// trimLine drops the line end, surrounding blanks, and on the first line a byte
// order mark.
func trimLine(line []byte, first bool) []byte {
	if first {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return bytes.Trim(line, " \t\r\n")
}

func openList(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		// A worker resolves a relative path against its own directory, not against
		// the one where the run was started.
		return nil, &Error{Source: path, Problem: "the path must be absolute"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open customer list: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open customer list: %w", err)
	}
	if !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, &Error{Source: path, Problem: "it must be a regular file"}
	}
	return f, nil
}
