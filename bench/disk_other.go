//go:build !linux

package bench

// inMemory is false: only Linux has folders for temporary files in memory.
func inMemory(string) (bool, error) { return false, nil }
