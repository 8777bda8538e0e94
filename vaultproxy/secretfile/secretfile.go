// Package secretfile makes files that hold a secret: for their owner alone, whole
// and on the disk before they are used, and never over another.
package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Make writes a new secret. It reports false, and writes nothing, if there is a
// file of that name already, which may have been made a moment ago by another
// process. The name is linked to a finished file, so that a crash half way leaves
// no empty one that the next start trips over.
func Make(path, text string) (made bool, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return false, fmt.Errorf("make a key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, fmt.Errorf("make a key: %w", err)
	}
	switch err := os.Link(f.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("make a key: %w", err)
	}
	return true, syncFolder(filepath.Dir(path))
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
