package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

// proxyTimeout bounds the first calls to a proxy elsewhere.
const proxyTimeout = 10 * time.Second

// openedProxy is what the activities need of a proxy, wherever it runs.
type openedProxy struct {
	dataURL, controlURL string
	control             *client.Client
}

// prepareProxy binds the ports of the proxy in this process, or makes sure that
// the one elsewhere is there and takes our admin key.
func (m *Main) prepareProxy(ctx context.Context) (proxy openedProxy, err error) {
	if m.cfg.ProxyURL != "" {
		return m.reachProxy(ctx)
	}
	cfg := m.cfg.Embedded
	cfg.Logger = m.cfg.Logger
	m.proxy, err = serve.Prepare(ctx, cfg)
	return openedProxy{}, err
}

// startProxy starts the proxy in this process, if it is here.
func (m *Main) startProxy(ctx context.Context, prepared openedProxy) (openedProxy, error) {
	if m.proxy == nil {
		return prepared, nil
	}
	server := m.proxy
	if err := server.Run(ctx); err != nil {
		return openedProxy{}, err
	}
	go func() {
		select {
		case err := <-server.Err():
			if err != nil {
				m.report(fmt.Errorf("the vault proxy died: %w", err))
			}
		case <-m.closing:
		}
	}()
	control, err := client.New(client.Config{BaseURL: server.ControlURL(), AdminKey: server.AdminKey()})
	return openedProxy{dataURL: server.DataURL(), controlURL: server.ControlURL(), control: control}, err
}

func (m *Main) reachProxy(ctx context.Context) (openedProxy, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	key, err := serve.AdminKey(m.cfg.Embedded.AdminKeyFile, m.cfg.Embedded.StateDir)
	if err != nil {
		return openedProxy{}, err
	}
	control, err := client.New(client.Config{BaseURL: m.cfg.ControlURL, AdminKey: key})
	if err != nil {
		return openedProxy{}, err
	}
	if err := control.Ready(ctx); err != nil {
		return openedProxy{}, reachFailure(m.cfg.ControlURL, err)
	}
	// Readiness is told to anybody; a listing of no run's keys takes the admin key.
	if _, err := control.Keys(ctx, "worker/start"); err != nil {
		return openedProxy{}, reachFailure(m.cfg.ControlURL, err)
	}
	return openedProxy{dataURL: m.cfg.ProxyURL, controlURL: m.cfg.ControlURL, control: control}, nil
}

func reachFailure(address string, err error) error {
	var answered *client.Error
	var unreachable *url.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &answered) && (answered.Status == http.StatusUnauthorized || answered.Status == http.StatusForbidden):
		return fmt.Errorf("the vault proxy at %s refused the admin key: give the one it was started with, by --admin-key-file or TOLLGATE_ADMIN_KEY", address)
	case errors.As(err, &answered) && answered.Code == "":
		return fmt.Errorf("what answers at %s is not a vault proxy's control plane (HTTP %d): check --control-url", address, answered.Status)
	case errors.As(err, &answered):
		return fmt.Errorf("the vault proxy at %s is not ready: %s (%s)", address, answered.Message, answered.Code)
	case errors.As(err, &dial):
		return fmt.Errorf("no vault proxy answers at %s (%w): start it first, or check --control-url", address, dial.Err)
	case errors.As(err, &unreachable) && unreachable.Timeout():
		return fmt.Errorf("the vault proxy at %s does not answer in time: check --control-url", address)
	case errors.As(err, &unreachable):
		return fmt.Errorf("what answers at %s is not a vault proxy's control plane: check --control-url", address)
	}
	return err
}
