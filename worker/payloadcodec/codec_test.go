package payloadcodec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	common "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

// Keys that tests may show.
var (
	oldLine = "2026-05: " + strings.Repeat("a1", payloadcodec.KeySize)
	newLine = "2026-11: " + strings.Repeat("b2", payloadcodec.KeySize)
)

func keyring(t *testing.T, lines ...string) *payloadcodec.Keyring {
	t.Helper()
	ring, err := payloadcodec.ParseKeys(strings.Join(lines, "\n"))
	require.NoError(t, err)
	return ring
}

func payload(t *testing.T, value any) *common.Payload {
	t.Helper()
	made, err := converter.GetDefaultDataConverter().ToPayload(value)
	require.NoError(t, err)
	return made
}

func encode(t *testing.T, ring *payloadcodec.Keyring, value any) *common.Payload {
	t.Helper()
	sealed, err := ring.Codec().Encode([]*common.Payload{payload(t, value)})
	require.NoError(t, err)
	require.Len(t, sealed, 1)
	return sealed[0]
}

func decode(ring *payloadcodec.Keyring, sealed *common.Payload) (*common.Payload, error) {
	opened, err := ring.Codec().Decode([]*common.Payload{sealed})
	if err != nil {
		return nil, err
	}
	return opened[0], nil
}

func TestCodec_GivesBackWhatItWasGivenAndShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	ring := keyring(t, newLine)
	for name, value := range map[string]any{
		"text": "vault_key_secret", "a structure": map[string]any{"customer": "cus_secret"},
		"bytes": []byte("secret"), "nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed := encode(t, ring, value)
			require.Equal(t, map[string][]byte{"encoding": []byte("binary/encrypted"), "encryption-key-id": []byte("2026-11")}, sealed.Metadata)
			require.NotContains(t, string(sealed.Data), "secret")
			require.NotContains(t, string(sealed.Data), "json/plain", "not even what it is")
			opened, err := decode(ring, sealed)
			require.NoError(t, err)
			require.True(t, proto.Equal(payload(t, value), opened))
		})
	}
}

func TestCodec_SealsTheSameValueAnewEachTime(t *testing.T) {
	t.Parallel()
	ring := keyring(t, newLine)
	seen := map[string]bool{}
	for range 1000 {
		seen[string(encode(t, ring, "the same").Data)] = true
	}
	require.Len(t, seen, 1000)
}

func TestCodec_EncryptsWithTheFirstKeyAndDecryptsWithAll(t *testing.T) {
	t.Parallel()
	before, during, after := keyring(t, oldLine), keyring(t, newLine, oldLine), keyring(t, newLine)
	old := encode(t, before, "of May")
	_, err := decode(during, old)
	require.NoError(t, err)

	fresh := encode(t, during, "of November")
	require.Equal(t, "2026-11", string(fresh.Metadata["encryption-key-id"]))
	_, err = decode(after, fresh)
	require.NoError(t, err)

	_, err = decode(after, old)
	require.EqualError(t, err, "a payload was encrypted with key 2026-05, and ours are 2026-11: "+
		"add the line of 2026-05 to the codec's key file, below the key that is to encrypt")
	var key *payloadcodec.KeyError
	require.ErrorAs(t, err, &key)
	require.Equal(t, "2026-05", key.KeyID)
}

func TestCodec_OpensNothingThatWasChanged(t *testing.T) {
	t.Parallel()
	sameName := "2026-11: " + strings.Repeat("c3", payloadcodec.KeySize)
	twin := "twin: " + strings.Repeat("b2", payloadcodec.KeySize) // the same key under another name
	for name, test := range map[string]struct {
		change func(*common.Payload)
		ring   []string
		want   string
	}{
		"a bit of the ciphertext": {func(p *common.Payload) { p.Data[len(p.Data)/2] ^= 1 }, []string{newLine}, "does not open with our key 2026-11"},
		"a bit of the nonce":      {func(p *common.Payload) { p.Data[0] ^= 1 }, []string{newLine}, "does not open with our key 2026-11"},
		"the tag cut off":         {func(p *common.Payload) { p.Data = p.Data[:len(p.Data)-1] }, []string{newLine}, "does not open with our key 2026-11"},
		"no data at all":          {func(p *common.Payload) { p.Data = nil }, []string{newLine}, "does not open with our key 2026-11"},
		"another key of the name": {func(*common.Payload) {}, []string{sameName}, "another key of that name, or changed since; put the right key 2026-11"},
		"the name of its key":     {func(p *common.Payload) { p.Metadata["encryption-key-id"] = []byte("twin") }, []string{newLine, twin}, "does not open with our key twin"},
		"no name of a key":        {func(p *common.Payload) { delete(p.Metadata, "encryption-key-id") }, []string{newLine}, "names no key that could be ours"},
		"a name that is an attack": {func(p *common.Payload) { p.Metadata["encryption-key-id"] = []byte("\x1b[2J\n") }, []string{newLine},
			"names no key that could be ours"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed := encode(t, keyring(t, newLine), "of November")
			test.change(sealed)
			_, err := decode(keyring(t, test.ring...), sealed)
			require.ErrorContains(t, err, test.want)
			var key *payloadcodec.KeyError
			require.ErrorAs(t, err, &key)
			require.NotContains(t, err.Error(), strings.Repeat("b2", 4))
			require.NotContains(t, err.Error(), strings.Repeat("c3", 4))
		})
	}
}

func TestCodec_LeavesWhatIsNotEncryptedAsItIs(t *testing.T) {
	t.Parallel()
	plain := payload(t, "sent by the Temporal CLI")
	opened, err := decode(keyring(t, newLine), plain)
	require.NoError(t, err)
	require.True(t, proto.Equal(plain, opened))
}

func TestDataConverter_TakesNoPlainPayload(t *testing.T) {
	t.Parallel()
	converter := keyring(t, newLine).DataConverter()
	sealed, err := converter.ToPayload("mine")
	require.NoError(t, err)
	var text string
	require.NoError(t, converter.FromPayload(sealed, &text))
	require.Equal(t, "mine", text)
	require.NoError(t, converter.FromPayloads(nil))

	var plain *payloadcodec.PlainError
	require.ErrorAs(t, converter.FromPayload(payload(t, "theirs"), &text), &plain)
	mixed := &common.Payloads{Payloads: []*common.Payload{sealed, payload(t, "theirs")}}
	require.ErrorAs(t, converter.FromPayloads(mixed, &text, &text), &plain)
	require.Equal(t, "mine", text)
}

func TestFailureConverter_EncryptsMessageStackTraceAndDetailsAlongTheWholeChain(t *testing.T) {
	t.Parallel()
	ring := keyring(t, newLine)
	cause := temporal.NewApplicationError("inner secret", "Inner", "detail secret")
	failed := ring.FailureConverter().ErrorToFailure(temporal.NewNonRetryableApplicationError("outer secret", "Outer", cause))
	text := failed.String()
	require.NotContains(t, text, "secret")
	require.Contains(t, text, "Outer", "the server goes by the type")

	back := ring.FailureConverter().FailureToError(failed)
	require.ErrorContains(t, back, "outer secret")
	var inner *temporal.ApplicationError
	require.ErrorAs(t, errors.Unwrap(back), &inner)
	require.ErrorContains(t, inner, "inner secret")
	var detail string
	require.NoError(t, inner.Details(&detail))
	require.Equal(t, "detail secret", detail)
}

func TestKeyring_ShowsItsIDsAlone(t *testing.T) {
	t.Parallel()
	ring := keyring(t, newLine, oldLine)
	require.Equal(t, []string{"2026-11", "2026-05"}, ring.IDs())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "keys 2026-11, 2026-05", fmt.Sprintf(verb, ring))
	}
}
