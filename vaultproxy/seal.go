package vaultproxy

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// sealer encrypts what is stored of requests and answers: they hold customers'
// data. AES-256-GCM with a random nonce; the call's ID is authenticated with it,
// so that no row can be passed off as another's.
type sealer struct{ aead cipher.AEAD }

func newSealer(master []byte) (*sealer, error) {
	if len(master) != MasterKeySize {
		return nil, fmt.Errorf("the master key must have %d bytes", MasterKeySize)
	}
	block, err := aes.NewCipher(derive(master, "stored calls"))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead}, nil
}

func (s *sealer) seal(callID, part string, plain []byte) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(callID+"/"+part)) //nolint:gosec // this AEAD draws its nonce itself
}

func (s *sealer) open(callID, part string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(callID+"/"+part))
	if err != nil {
		return nil, errors.New("a stored " + part + " cannot be opened: is this the master key that it was sealed with?")
	}
	return plain, nil
}

func (s *sealer) sealWire(callID string, w vendors.Wire) ([]byte, error) {
	plain, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return s.seal(callID, "request", plain), nil
}

func (s *sealer) openWire(callID string, sealed []byte) (w vendors.Wire, err error) {
	if len(sealed) == 0 {
		return w, errors.New("the request of this call is no longer stored")
	}
	plain, err := s.open(callID, "request", sealed)
	if err != nil {
		return w, err
	}
	err = json.Unmarshal(plain, &w)
	return w, err
}

// sealAnswer stores an answer as its headers in JSON, with their length before
// them, and the body as it is.
func (s *sealer) sealAnswer(callID string, a reply) []byte {
	head, err := json.Marshal(a.header)
	if err != nil {
		head = []byte("{}")
	}
	plain := make([]byte, 4, 4+len(head)+len(a.body))
	binary.BigEndian.PutUint32(plain, uint32(len(head))) //nolint:gosec // a handful of short headers
	plain = append(append(plain, head...), a.body...)
	return s.seal(callID, "answer", plain)
}

func (s *sealer) openAnswer(callID string, status int, sealed []byte) (reply, error) {
	plain, err := s.open(callID, "answer", sealed)
	if err != nil {
		return reply{}, err
	}
	a := reply{status: status}
	if len(plain) < 4 || len(plain)-4 < int(binary.BigEndian.Uint32(plain)) {
		return reply{}, errors.New("a stored answer is cut short")
	}
	head := binary.BigEndian.Uint32(plain)
	if err := json.Unmarshal(plain[4:4+head], &a.header); err != nil {
		return reply{}, errors.New("a stored answer is damaged")
	}
	a.body = plain[4+head:]
	return a, nil
}
