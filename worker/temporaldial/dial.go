package temporaldial

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"github.com/tollgate/tollgate/worker/payloadcodec"
)

const (
	// DefaultAddress is where `temporal server start-dev` listens. It is spelt as
	// an address because "localhost" may mean ::1, where the dev server is not.
	DefaultAddress = "127.0.0.1:7233"
	// DefaultNamespace is the one that every new Temporal server has.
	DefaultNamespace = "default"
	// timeout bounds the first call to the server.
	timeout = 10 * time.Second
)

// Config says what to read the connection from.
type Config struct {
	Env    envconfig.EnvLookup // nil: the process's environment
	Logger *slog.Logger        // what the SDK logs goes here; nil: nowhere
	Keys   payloadcodec.Source // where the keys are that payloads are encrypted with
}

// Options reads the address, namespace, credentials, TLS settings, and the keys of
// the payload codec. It does not connect; its errors name the setting that cannot
// be used.
func Options(cfg Config) (client.Options, error) {
	opts, err := Plain(cfg)
	if err != nil {
		return opts, err
	}
	keys, err := cfg.Keys.Keys(cfg.Env, opts.HostPort)
	if err != nil {
		return client.Options{}, err
	}
	keys.Apply(&opts)
	return opts, nil
}

// Plain is Options without the codec: for what reads and writes no payload, such
// as a health check, and must not fail for want of a key.
func Plain(cfg Config) (client.Options, error) {
	opts, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: cfg.Env})
	if err != nil {
		return client.Options{}, fmt.Errorf("cannot use the Temporal connection settings: %w; check the TEMPORAL_ environment variables and Temporal's configuration file", err)
	}
	if opts.HostPort == "" {
		opts.HostPort = DefaultAddress
	}
	if opts.Namespace == "" {
		opts.Namespace = DefaultNamespace
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	opts.Logger = log.NewStructuredLogger(logger)
	return opts, nil
}

// Dial connects, within 10 seconds. The caller closes the client.
func Dial(ctx context.Context, opts client.Options) (client.Client, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	opts.ConnectionOptions.GetSystemInfoTimeout = timeout
	connected, err := client.DialContext(bounded, opts)
	switch {
	case err == nil:
		return connected, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, fmt.Errorf("no Temporal server answers at %s (%s): start one with 'temporal server start-dev', or set TEMPORAL_ADDRESS", opts.HostPort, reason(err))
	}
}
