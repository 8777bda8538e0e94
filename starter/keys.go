package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy/client"
)

func (p *program) keysCommand() *cobra.Command {
	var t target
	var c control
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "keys [WORKFLOW_ID | --plan PLAN --period YYYY-MM | --run-label LABEL]",
		Short:   "List vault keys, newest first: all, or those of one run",
		Long:    "List vault keys, newest first: all, or those of one run. Tokens are never shown.",
		Example: "  starter keys\n  starter keys billing-pro-2026-11",
		Args:    oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			label := ""
			if t.named(args) {
				var err error
				if label, err = p.runLabel(&t, args); err != nil {
					return err
				}
			}
			vault, address, err := p.vault(c)
			if err != nil {
				return err
			}
			keys, err := vault.Keys(cmd.Context(), label)
			if err != nil {
				return controlFailure(address, err)
			}
			if asJSON {
				return writeJSON(p.stdout, client.KeyList{Keys: append([]client.Key{}, keys...)})
			}
			if len(keys) == 0 {
				_, _ = fmt.Fprintln(p.stderr, nothingFound(label, "vault key"))
			}
			return writeTables(p.stdout, keyTable(keys, label == ""))
		},
	}
	t.bindLabel(cmd.Flags())
	c.bind(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the keys as JSON")
	return cmd
}

// keyTable names the run of each key only where there may be several runs: with
// their labels the table does not fit 80 columns.
func keyTable(keys []client.Key, runs bool) table.Writer {
	header := []any{"key", "state", "expires (utc)", "settled", "held", "left"}
	if runs {
		header = append(header, "run")
	}
	t := newTable(header...)
	alignRight(t, 4, 5, 6)
	for i := range keys {
		key := &keys[i]
		settled, held, left := use(key.Budgets)
		row := table.Row{key.KeyID, key.State, key.ExpiresAt.UTC().Format("2006-01-02 15:04"), settled, held, left}
		if runs {
			row = append(row, key.AgentRunLabel)
		}
		t.AppendRow(row)
	}
	return t
}

// use is what a key spent and what it can still spend: of the budgets that it
// draws on, the one with the least left decides.
func use(budgets []client.Budget) (settled, held, left string) {
	if len(budgets) == 0 {
		return "", "", ""
	}
	tightest := budgets[0]
	for _, b := range budgets[1:] {
		if b.RemainingUSD < tightest.RemainingUSD {
			tightest = b
		}
	}
	holds := tightest.ReservedUSD + tightest.CommittedUSD + tightest.UnknownUSD
	return dollars(tightest.SettledUSD), dollars(holds), dollars(tightest.RemainingUSD)
}
