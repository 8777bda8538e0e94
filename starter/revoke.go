package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) revokeCommand() *cobra.Command {
	var t target
	var c control
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke (WORKFLOW_ID | --plan PLAN --period YYYY-MM | --run-label LABEL)",
		Short: "Stop a run's spending at once, for good",
		Long: "Revoke every vault key of a run and close the run: no further charge is reserved and no further\n" +
			"key is issued under it. Charges already sent to the vendor run to their end and are booked.\n" +
			"Temporal need not be up; a running workflow sees its key refused, stops and completes.",
		Example: "  starter revoke billing-pro-2026-11",
		Args:    oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			label, err := p.runLabel(&t, args)
			if err != nil {
				return err
			}
			vault, address, err := p.vault(c)
			if err != nil {
				return err
			}
			revoked, err := vault.RevokeRun(cmd.Context(), label)
			if err != nil {
				return controlFailure(address, err)
			}
			if asJSON {
				return writeJSON(p.stdout, revoked)
			}
			keys := "1 vault key"
			if len(revoked.KeyIDs) != 1 {
				keys = count(len(revoked.KeyIDs)) + " vault keys"
			}
			_, err = fmt.Fprintf(p.stdout, "closed %s: %s revoked at %s, %s still in flight\n", label, keys, stamp(revoked.RevokedAt), charges(revoked.InFlight))
			return err
		},
	}
	t.bindLabel(cmd.Flags())
	c.bind(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON")
	return cmd
}
