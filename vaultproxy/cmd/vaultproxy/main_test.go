package main

import (
	"io"
	"log"
	"testing"

	"github.com/stretchr/testify/require"
)

// net/http repeats there what a peer sent.
func TestVaultproxy_WritesNothingByTheStandardLogger(t *testing.T) {
	t.Parallel()
	prepare()
	require.Equal(t, io.Discard, log.Writer())
}
