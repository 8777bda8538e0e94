package serve

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy"
)

// AdminKey finds the control plane's admin key: in the file, else in
// TOLLGATE_ADMIN_KEY, else where a proxy has left it in its state folder.
func AdminKey(file, stateDir string) (string, error) {
	key, found, err := givenAdminKey(file, stateDir)
	if err == nil && !found {
		err = fmt.Errorf("no admin key: set TOLLGATE_ADMIN_KEY, name its file by --admin-key-file, or start the proxy first (it leaves one in %s)",
			adminKeyPath(stateDir))
	}
	return key, err
}

func givenAdminKey(file, stateDir string) (key string, found bool, err error) {
	if file != "" {
		key, err = readSecret("admin key", file)
		return key, true, err
	}
	if key = strings.TrimSpace(os.Getenv("TOLLGATE_ADMIN_KEY")); key != "" {
		return key, true, oneLine("admin key", "TOLLGATE_ADMIN_KEY", key)
	}
	key, err = readSecret("admin key", adminKeyPath(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return key, true, err
}

func adminKeyPath(stateDir string) string { return filepath.Join(stateDir, "admin.key") }

func newAdminKey() string {
	fresh := make([]byte, 24)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the program instead
	return "tollgate_admin_" + hex.EncodeToString(fresh)
}

// masterKey reads or makes the key that vault keys and stored requests hang on.
// It stays beside the ledger: one without the other is of no use, so a ledger
// that has lost its key is not given a new one.
func masterKey(stateDir, ledgerPath string) ([]byte, error) {
	path := filepath.Join(stateDir, "master.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(ledgerPath); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is a ledger at %s and no master key at %s: restore the key from a backup", ledgerPath, path)
		}
		fresh := make([]byte, vaultproxy.MasterKeySize)
		_, _ = rand.Read(fresh)
		if _, err := makeSecret(path, hex.EncodeToString(fresh)); err != nil {
			return nil, err
		}
	}
	return readMasterKey(path)
}

func readMasterKey(path string) ([]byte, error) {
	text, err := readSecret("master key", path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != vaultproxy.MasterKeySize {
		return nil, fmt.Errorf("the master key in %s is damaged: restore it from a backup; without it stored calls cannot be read", path)
	}
	return key, nil
}

// readSecret reads a one-line secret. Its errors name the file, never what is in it.
func readSecret(what, path string) (string, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file, by flag or in the environment
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	text := strings.TrimSpace(string(raw))
	return text, oneLine(what, path, text)
}

// oneLine refuses what cannot stand in a header, where every one of these
// secrets ends up: it would never match what a caller sends.
func oneLine(what, where, text string) error {
	if text == "" || len(text) > 4096 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("read the %s: %s is empty or holds no key", what, where)
	}
	return nil
}

// makeSecret writes a new secret for its owner alone, whole and on disk before
// it is used, and never over another: the name is linked to a finished file, so
// that a crash half way leaves no empty key that the next start trips over.
func makeSecret(path, text string) (_ string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	switch err := os.Link(f.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return readSecret("key", path) // another proxy was first; only one of them will get the ledger
	case err != nil:
		return "", fmt.Errorf("make a key: %w", err)
	}
	return text, syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder survive a power failure.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	return nil
}
