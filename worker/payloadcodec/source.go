package payloadcodec

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/tollgate/tollgate/vaultproxy/secretfile"
)

// Where keys are looked for, if no file is named.
const (
	KeyFileVariable = "TOLLGATE_CODEC_KEY_FILE"
	KeyVariable     = "TOLLGATE_CODEC_KEY"
	// FileName of the keys in the state folder.
	FileName = "codec.key"
)

// maxKeyFile bounds what is read, should the name be that of something else.
const maxKeyFile = 64 << 10

// Source says where keys come from: File, else TOLLGATE_CODEC_KEY_FILE, else
// TOLLGATE_CODEC_KEY. Only where Temporal is on this machine is there a default:
// codec.key in the state folder.
type Source struct {
	File     string
	StateDir string
	// Make has a missing codec.key made. A worker does that. A starter does not: one
	// that runs in another folder would encrypt with a key that no worker has.
	Make bool
}

// Keys finds the keys for a Temporal server at this address, and makes one if need
// be. Errors say what to do, and hold nothing of a key.
func (s Source) Keys(env envconfig.EnvLookup, temporalAddress string) (*Keyring, error) {
	if env == nil {
		env = envconfig.EnvLookupOS
	}
	file := s.File
	if file == "" {
		file, _ = env.LookupEnv(KeyFileVariable)
	}
	if file != "" {
		return readKeys(file)
	}
	if text, _ := env.LookupEnv(KeyVariable); text != "" {
		ring, err := ParseKeys(text)
		if err != nil {
			return nil, fmt.Errorf("the codec's keys in %s cannot be used: %w", KeyVariable, err)
		}
		return ring, nil
	}
	if !IsLoopback(temporalAddress) {
		return nil, fmt.Errorf("the Temporal server at %s is not on this machine, so payloads must be encrypted with a key of your own: "+
			"write one line, an ID, a colon and what 'openssl rand -hex %d' prints, into a file that worker and starter share, and name it by --codec-key-file or %s",
			temporalAddress, KeySize, KeyFileVariable)
	}
	return s.local()
}

func (s Source) local() (*Keyring, error) {
	path := filepath.Join(s.StateDir, FileName)
	ring, err := readKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	if !s.Make {
		return nil, fmt.Errorf("there is no %s, the key that payloads are encrypted with: start a worker first, which makes it, "+
			"and name its folder by --state-dir, or the file by --codec-key-file", path)
	}
	if err := os.MkdirAll(s.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the codec's key: %w", err)
	}
	fresh := make([]byte, KeySize+4)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the program instead
	// The ID is random too: keys of two state folders must not share a name.
	line := "local-" + hex.EncodeToString(fresh[KeySize:]) + ": " + hex.EncodeToString(fresh[:KeySize])
	if _, err := secretfile.Make(path, line); err != nil {
		return nil, err
	}
	return readKeys(path) // another worker's, if that was first
}

func readKeys(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the codec's keys: %w", err)
	}
	if info.IsDir() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("the codec's key file %s holds no keys", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the codec's keys: %w", err)
	}
	ring, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("the codec's key file %s cannot be used: %w", path, err)
	}
	return ring, nil
}

// IsLoopback reports whether a Temporal address is on this machine beyond doubt.
// Names other than localhost are not looked up: what they mean may change.
func IsLoopback(address string) bool {
	for _, scheme := range []string{"dns:///", "passthrough:///"} {
		address = strings.TrimPrefix(address, scheme)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
