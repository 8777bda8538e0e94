package payloadcodec

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// KeySize of AES-256, in bytes.
	KeySize = 32
	// maxKeyID bounds what is written into each payload, and is too short for a key
	// that stands in the wrong place to pass for an ID, which errors show.
	maxKeyID = 32
	// maxKeys is far above what a rotation needs.
	maxKeys = 100
)

// Keyring holds the keys of a codec. The first encrypts, all decrypt.
type Keyring struct {
	ids  []string
	open map[string]cipher.AEAD
}

// ParseKeys reads keys, each on a line of its own or parted by commas, as an ID, a
// colon and 64 hexadecimal digits:
//
//	# newest first
//	2026-11: 6fbc…
//	2026-05: 01d4…
//
// An ID has 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-'. Empty lines and those that
// begin with # are passed over. Errors tell a line by its number, and hold nothing
// of what stands behind the colon.
func ParseKeys(text string) (*Keyring, error) {
	ring := &Keyring{open: map[string]cipher.AEAD{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			if err := ring.add(entry); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
		}
	}
	if len(ring.ids) == 0 {
		return nil, errors.New("there is no key in it; write one as an ID, a colon and 64 hexadecimal digits")
	}
	return ring, nil
}

func (r *Keyring) add(entry string) error {
	id, digits, ok := strings.Cut(entry, ":")
	id = strings.TrimSpace(id)
	// A line without a colon may be the key itself.
	if !ok {
		return errors.New("it must be an ID, a colon and 64 hexadecimal digits")
	}
	if !validKeyID(id) {
		return fmt.Errorf("the key's ID must be 1 to %d of a-z, A-Z, 0-9, '.', '_' and '-'", maxKeyID)
	}
	key, err := hex.DecodeString(strings.TrimSpace(digits))
	if err != nil || len(key) != KeySize {
		return fmt.Errorf("key %s must have %d hexadecimal digits, as 'openssl rand -hex %d' writes them", id, 2*KeySize, KeySize)
	}
	if _, twice := r.open[id]; twice {
		return fmt.Errorf("key %s is there twice", id)
	}
	if len(r.ids) == maxKeys {
		return fmt.Errorf("there are more than %d keys", maxKeys)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	r.ids = append(r.ids, id)
	r.open[id] = sealer
	return nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// IDs names the keys, the one that encrypts first.
func (r *Keyring) IDs() []string { return append([]string(nil), r.ids...) }

// String keeps a keyring that is printed by mistake from showing anything but IDs.
func (r *Keyring) String() string { return "keys " + strings.Join(r.ids, ", ") }

// GoString does the same for %#v.
func (r *Keyring) GoString() string { return r.String() }
