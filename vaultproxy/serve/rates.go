package serve

import (
	"time"

	"github.com/tollgate/tollgate/vaultproxy/money/fx"
)

// exchangeRates reads the table that the configuration names, if it names one. A
// table that is too old is no reason not to start: what is held can still be
// settled, and US dollars need none. New prices are refused by the ledger's clock.
func exchangeRates(cfg Config) (*fx.Table, error) {
	if cfg.FXFile == "" {
		return nil, nil
	}
	rates, err := fx.Load(cfg.FXFile)
	if err != nil {
		return nil, yamlError(err)
	}
	if cfg.Logger == nil {
		return rates, nil // which is refused further on
	}
	if err := rates.Usable(time.Now()); err != nil {
		cfg.Logger.Warn("only US dollars are metered", "reason", err.Error(), "fx_file", cfg.FXFile)
	} else {
		cfg.Logger.Info("exchange rates", "currencies", rates.Len(), "as_of", rates.AsOf(), "expires", rates.Expires())
	}
	return rates, nil
}
