package payloadcodec

import (
	"errors"
	"fmt"
	"strings"

	common "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

const (
	// Encoding marks a payload that this package encrypted. Temporal's own samples
	// use the same word, and its UI knows it.
	Encoding = "binary/encrypted"
	// metadataKeyID is the metadata in which a payload names its key.
	metadataKeyID = "encryption-key-id"
	// purpose keeps what these keys sealed for anything else from passing for a payload.
	purpose = "tollgate payload 1"
)

// KeyError is a payload that our keys do not open.
type KeyError struct {
	KeyID string // as the payload has it
	text  string
}

func (e *KeyError) Error() string { return e.text }

// Codec returns the codec that encrypts with the first key of the ring. It is safe
// for concurrent use.
func (r *Keyring) Codec() converter.PayloadCodec { return &codec{r} }

type codec struct{ keys *Keyring }

// Encode encrypts every payload, whatever its encoding is.
func (c *codec) Encode(payloads []*common.Payload) ([]*common.Payload, error) {
	id := c.keys.ids[0]
	sealed := make([]*common.Payload, len(payloads))
	for i, payload := range payloads {
		plain, err := proto.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		sealed[i] = &common.Payload{
			Metadata: map[string][]byte{
				converter.MetadataEncoding: []byte(Encoding),
				metadataKeyID:              []byte(id),
			},
			Data: c.keys.open[id].Seal(nil, nil, plain, associated(id)), //nolint:gosec // it draws a nonce of its own, and takes none
		}
	}
	return sealed, nil
}

// Decode decrypts what Encode encrypted, and leaves other payloads as they are, to
// be looked at: the UI asks for search attributes too. DataConverter takes none of them.
func (c *codec) Decode(payloads []*common.Payload) ([]*common.Payload, error) {
	opened := make([]*common.Payload, len(payloads))
	for i, payload := range payloads {
		if string(payload.GetMetadata()[converter.MetadataEncoding]) != Encoding {
			opened[i] = payload
			continue
		}
		plain, err := c.open(payload)
		if err != nil {
			return nil, err
		}
		opened[i] = &common.Payload{}
		if err := proto.Unmarshal(plain, opened[i]); err != nil {
			return nil, errors.New("what was encrypted is no payload")
		}
	}
	return opened, nil
}

func (c *codec) open(payload *common.Payload) ([]byte, error) {
	id := string(payload.GetMetadata()[metadataKeyID])
	if !validKeyID(id) {
		return nil, &KeyError{text: "a payload is marked as encrypted and names no key that could be ours: it was not written by Tollgate"}
	}
	opener, known := c.keys.open[id]
	if !known {
		return nil, &KeyError{KeyID: id, text: fmt.Sprintf(
			"a payload was encrypted with key %s, and ours are %s: add the line of %s to the codec's key file, below the key that is to encrypt",
			id, strings.Join(c.keys.ids, ", "), id)}
	}
	plain, err := opener.Open(nil, nil, payload.GetData(), associated(id))
	if err != nil {
		return nil, &KeyError{KeyID: id, text: fmt.Sprintf(
			"a payload does not open with our key %s: it was encrypted with another key of that name, or changed since; put the right key %s into the codec's key file",
			id, id)}
	}
	return plain, nil
}

// associated is what is authenticated beside the ciphertext. No part can hold a
// zero byte, so no two of them are the same.
func associated(id string) []byte {
	return []byte(purpose + "\x00" + Encoding + "\x00" + id)
}
