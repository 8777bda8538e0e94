package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/serve"
)

const (
	defaultControlURL = "http://127.0.0.1:8787"
	controlURLEnv     = "TOLLGATE_CONTROL_URL"
)

// control says where the vault proxy's control plane is and what opens it.
type control struct {
	url          string
	adminKeyFile string
}

func (c *control) bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.url, "control-url", "", "control plane of the vault proxy (default $"+controlURLEnv+", else "+defaultControlURL+")")
	fs.StringVar(&c.adminKeyFile, "admin-key-file", "", "file that holds the admin key (default $TOLLGATE_ADMIN_KEY, else admin.key in --state-dir)")
}

// vault returns a client of the control plane; it does not call it yet.
func (p *program) vault(c control) (*client.Client, string, error) {
	address := c.url
	if address == "" {
		address, _ = p.env.LookupEnv(controlURLEnv)
	}
	if address == "" {
		address = defaultControlURL
	}
	key, err := serve.AdminKey(c.adminKeyFile, p.keys.StateDir)
	if err != nil {
		return nil, "", err
	}
	vault, err := client.New(client.Config{BaseURL: address, AdminKey: key})
	if err != nil {
		return nil, "", usage(err.Error())
	}
	return vault, address, nil
}

// nothingFound keeps an empty table from being taken for a run without any: the
// ledger may not know the run at all.
func nothingFound(run, what string) string {
	if run == "" {
		return "the ledger has no such " + what
	}
	return fmt.Sprintf("the ledger has no such %s of %s: 'starter keys' shows the runs that it knows", what, run)
}

// controlFailure turns an error of the control plane into what to do about it.
func controlFailure(address string, err error) error {
	var answered *client.Error
	var unreachable *url.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &answered) && (answered.Status == http.StatusUnauthorized || answered.Status == http.StatusForbidden):
		return fmt.Errorf("the vault proxy at %s refused the admin key: give the one it was started with, by --admin-key-file, TOLLGATE_ADMIN_KEY or --state-dir", address)
	case errors.As(err, &answered) && answered.Code == "":
		return fmt.Errorf("what answers at %s is not a vault proxy's control plane (HTTP %d): give its address with --control-url or %s", address, answered.Status, controlURLEnv)
	case errors.As(err, &answered):
		return fmt.Errorf("%s (%s)", answered.Message, answered.Code)
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &dial):
		return fmt.Errorf("no vault proxy answers at %s (%w): start a worker, or name another proxy with --control-url or %s", address, dial.Err, controlURLEnv)
	case errors.As(err, &unreachable) && unreachable.Timeout():
		return fmt.Errorf("the vault proxy at %s does not answer in time: check that address, --control-url or %s names it", address, controlURLEnv)
	case errors.As(err, &unreachable):
		return fmt.Errorf("what answers at %s is not a vault proxy's control plane: give its address with --control-url or %s", address, controlURLEnv)
	}
	return err
}
