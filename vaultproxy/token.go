package vaultproxy

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

// TokenPrefix begins every vault key.
const TokenPrefix = "vault_key_"

// MasterKeySize is the length of the master key, in bytes.
const MasterKeySize = 32

var lower32 = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// tokens mints and reads vault keys: the prefix, the ledger's ID, the key's ID
// and a MAC over both. The same key has the same token for ever, and nothing of
// it is stored.
type tokens struct {
	mac    []byte
	ledger string
}

func newTokens(master []byte, ledgerID string) tokens {
	return tokens{mac: derive(master, "vault key"), ledger: ledgerID}
}

// derive makes a key for one purpose. The master key's length is checked by newSealer.
func derive(master []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, master, nil, "tollgate "+purpose, 32)
	if err != nil {
		return nil
	}
	return key
}

func (t tokens) mint(keyID string) string {
	return TokenPrefix + t.ledger + "_" + keyID + "_" + lower32.EncodeToString(t.sum(keyID))
}

func (t tokens) sum(keyID string) []byte {
	h := hmac.New(sha256.New, t.mac)
	h.Write([]byte(t.ledger + "_" + keyID))
	return h.Sum(nil)
}

var (
	errNotAToken   = errors.New("not a vault key")
	errOtherLedger = errors.New("vault key of another ledger")
)

// read returns the key ID of a token whose MAC is right.
func (t tokens) read(token string) (string, error) {
	rest, ok := strings.CutPrefix(token, TokenPrefix)
	parts := strings.Split(rest, "_")
	if !ok || len(parts) != 3 {
		return "", errNotAToken
	}
	sum, err := lower32.DecodeString(parts[2])
	if err != nil {
		return "", errNotAToken
	}
	if parts[0] == t.ledger && hmac.Equal(sum, t.sum(parts[1])) {
		return parts[1], nil
	}
	if parts[0] != t.ledger {
		return "", errOtherLedger
	}
	return "", errNotAToken
}

// newKeyID is 80 random bits: unique, and of no use without the MAC.
func newKeyID() string {
	id := make([]byte, 10)
	_, _ = rand.Read(id) // never fails: crypto/rand ends the program instead
	return lower32.EncodeToString(id)
}
