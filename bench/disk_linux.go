package bench

import "syscall"

// File systems that are kept in memory, by the numbers of statfs(2).
const (
	tmpfs = 0x01021994
	ramfs = 0x858458f6
)

func inMemory(folder string) (bool, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return false, err
	}
	kind := uint32(s.Type) //nolint:gosec // these numbers have 32 bits, the field more on most machines
	return kind == tmpfs || kind == ramfs, nil
}
