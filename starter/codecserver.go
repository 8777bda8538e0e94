package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy/secretfile"
	"github.com/tollgate/tollgate/worker/payloadcodec"
	"github.com/tollgate/tollgate/worker/temporaldial"
)

const (
	codecServerAddr = "127.0.0.1:8081"
	devServerUI     = "http://localhost:8233"
	// tokenFileName in the state folder.
	tokenFileName = "codec-server.token"
	// codecServerDrain is how long a decoding under way may take when it stops.
	codecServerDrain = 5 * time.Second
)

type codecServer struct {
	addr      string
	public    bool
	uiOrigins []string
	tokenFile string
}

func (p *program) codecServerCommand() *cobra.Command {
	var s codecServer
	cmd := &cobra.Command{
		Use:   "codec-server",
		Short: "Let Temporal's UI and CLI read encrypted payloads",
		Long: "Serve Temporal's remote codec, POST /encode and /decode, on this machine. Whoever has the token can\n" +
			"read the vault keys and customers of every run: it is asked for as 'Authorization: Bearer TOKEN', or as\n" +
			"the first part of the path, for the UI of a development server, which sends no header.\n" +
			"Browsers are answered on pages of --ui-origin alone.",
		Example: "  starter codec-server\n" +
			"  temporal workflow show -w billing-pro-2026-11 --codec-endpoint http://127.0.0.1:8081 \\\n" +
			"    --codec-auth \"Bearer $(cat .tollgate/codec-server.token)\"",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serveCodec(cmd.Context(), s) },
	}
	cmd.Flags().StringVar(&s.addr, "addr", codecServerAddr, "address to listen on")
	cmd.Flags().BoolVar(&s.public, "allow-remote", false, "listen on an address that others can reach; put TLS before it")
	cmd.Flags().StringSliceVar(&s.uiOrigins, "ui-origin", []string{devServerUI}, "origin of a Temporal UI whose pages may ask")
	cmd.Flags().StringVar(&s.tokenFile, "token-file", "", "file of the token, made if it is not there (default "+tokenFileName+" in --state-dir)")
	return cmd
}

func (p *program) serveCodec(ctx context.Context, s codecServer) error {
	if err := s.check(); err != nil {
		return err
	}
	opts, err := temporaldial.Plain(temporaldial.Config{Env: p.env})
	if err != nil {
		return err
	}
	keys, err := p.keys.Keys(p.env, opts.HostPort)
	if err != nil {
		return err
	}
	if s.tokenFile == "" {
		s.tokenFile = filepath.Join(p.keys.StateDir, tokenFileName)
	}
	token, err := readToken(s.tokenFile)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen for the codec server: %w; choose another address with --addr", err)
	}
	server := &http.Server{
		Handler:           payloadcodec.Handler(keys, token, s.uiOrigins),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(p.stdout, "codec server on http://%s for pages of %s, token in %s\n",
		listener.Addr(), strings.Join(s.uiOrigins, ", "), s.tokenFile); err != nil {
		return errors.Join(err, server.Close())
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), codecServerDrain)
	defer cancel()
	return server.Shutdown(bounded)
}

func (s codecServer) check() error {
	host, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		return usage(fmt.Sprintf("--addr is %q: it must be an address and a port, such as %s", s.addr, codecServerAddr))
	}
	ip, err := netip.ParseAddr(host)
	if local := host == "localhost" || err == nil && ip.Unmap().IsLoopback(); !local && !s.public {
		return usage(fmt.Sprintf("--addr %s can be reached from other machines, in plain HTTP: listen on 127.0.0.1, or add --allow-remote if something before it ends TLS", s.addr))
	}
	for _, origin := range s.uiOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Scheme+"://"+u.Host != origin {
			return usage(fmt.Sprintf("--ui-origin is %q: it must be scheme, host and port alone, such as %s", origin, devServerUI))
		}
	}
	return nil
}

// minToken is shorter than any token that was not chosen by hand.
const minToken = 16

// readToken reads the token, or makes one. It goes into a header and a path, so it
// has letters, digits, '_' and '-' alone.
func readToken(path string) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", fmt.Errorf("make the codec server's token: %w", err)
		}
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh) // never fails: crypto/rand ends the program instead
		if _, err := secretfile.Make(path, hex.EncodeToString(fresh)); err != nil {
			return "", err
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the codec server's token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if len(token) < minToken || len(token) > 256 || strings.ContainsFunc(token, odd) {
		return "", fmt.Errorf("the codec server's token in %s cannot be used: it must be %d to 256 letters, digits, '_' or '-'; delete the file to have one made", path, minToken)
	}
	return token, nil
}
