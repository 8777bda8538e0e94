package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
	"github.com/tollgate/tollgate/workflows"
)

func (p *program) revokeCommand() *cobra.Command {
	var t target
	var c control
	var tenant string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke (WORKFLOW_ID | --plan PLAN --period YYYY-MM | --run-label LABEL)",
		Short: "Stop a run's spending at once, for good",
		Long: "Revoke every vault key of a run, those of its receipts and texts too, and close the run: no further\n" +
			"call is reserved and no further key is issued under it. Calls already sent to a vendor run to their\n" +
			"end and are booked.\n" +
			"Temporal need not be up; a running workflow sees its key refused, stops and completes. Where Temporal\n" +
			"can be reached, the workflow is told at once, also if it waits for an approval.",
		Example: "  starter revoke billing-pro-2026-11\n" +
			"  starter revoke --run-label my-agent/run-17 --tenant acme",
		Args: oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			label, err := p.runLabel(&t, args)
			if err != nil {
				return err
			}
			vault, address, err := p.vault(c)
			if err != nil {
				return err
			}
			revoked, err := vault.RevokeRun(cmd.Context(), label, tenant)
			if err != nil {
				return revokeFailure(address, label, tenant, err)
			}
			if t.label == "" {
				// The charges first: a phase that gets its key from now on sees them closed.
				if err := revokePhases(cmd.Context(), vault, label, &revoked); err != nil {
					return revokeFailure(address, label, tenant, err)
				}
			}
			if id, err := t.workflowID(args); err == nil {
				defer p.tellRevoked(cmd.Context(), id)
			}
			if asJSON {
				return writeJSON(p.stdout, revoked)
			}
			keys := "1 vault key"
			if len(revoked.KeyIDs) != 1 {
				keys = count(len(revoked.KeyIDs)) + " vault keys"
			}
			_, err = fmt.Fprintf(p.stdout, "closed %s: %s revoked at %s, %s still in flight\n", label, keys, stamp(revoked.RevokedAt), calls(revoked.InFlight))
			return err
		},
	}
	t.bindLabel(cmd.Flags())
	c.bind(cmd.Flags())
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant of the run, if it was begun under one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the result as JSON")
	return cmd
}

// tellTime bounds the telling of a run: what was asked for is done already.
const tellTime = 5 * time.Second

// tellRevoked tells the run, so far as Temporal can be reached. One that waits for
// an approval would otherwise find out at the end of the time for it.
func (p *program) tellRevoked(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	err := p.sendRevoked(ctx, id)
	var notFound *serviceerror.NotFound
	var refused *temporal.ApplicationError
	if err == nil || errors.As(err, &notFound) || errors.As(err, &refused) {
		return // it ends already, or has ended
	}
	why := oneLine(err.Error())
	if ctx.Err() != nil {
		why = "no answer within " + tellTime.String()
	}
	_, _ = fmt.Fprintf(p.stderr, "its spending is stopped, but the workflow %s could not be told so by way of Temporal (%s): it finds out at its next charge, or when its time for approvals is over\n", id, why)
}

func (p *program) sendRevoked(ctx context.Context, id string) error {
	// It has no arguments and no answer, and so needs no key of the codec's.
	connected, _, err := p.connectPlain(ctx)
	if err != nil {
		return err
	}
	defer connected.Close()
	handle, err := connected.UpdateWorkflow(ctx, temporalclient.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: workflows.UpdateRevoked, WaitForStage: temporalclient.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(ctx, nil)
}

// revokePhases closes what a billing run keeps under labels of their own.
func revokePhases(ctx context.Context, vault *client.Client, run string, revoked *client.Revocation) error {
	for _, label := range noticeLabels(run) {
		more, err := vault.RevokeRun(ctx, label, revoked.Tenant)
		if neverUsed(err) {
			continue
		}
		if err != nil {
			return err
		}
		revoked.KeyIDs = append(revoked.KeyIDs, more.KeyIDs...)
		revoked.InFlight += more.InFlight
		revoked.UnknownCalls += more.UnknownCalls
		if revoked.InFlightUSD, err = money.Add(revoked.InFlightUSD, more.InFlightUSD); err != nil {
			return err
		}
		if revoked.UnknownUSD, err = money.Add(revoked.UnknownUSD, more.UnknownUSD); err != nil {
			return err
		}
	}
	return nil
}

func calls(n int) string {
	if n == 1 {
		return "1 call"
	}
	return count(n) + " calls"
}

// revokeFailure tells a run that is not there from one that belongs to a tenant:
// who believes the first lets the second one spend on.
func revokeFailure(address, label, tenant string, err error) error {
	var answered *client.Error
	switch {
	case !errors.As(err, &answered) || answered.Status != http.StatusNotFound || answered.Code == "":
		return controlFailure(address, err)
	case tenant == "":
		return fmt.Errorf("the ledger has no run %s without a tenant: name its tenant by --tenant, or check the label with 'starter keys'", label)
	}
	return fmt.Errorf("the ledger has no run %s of tenant %s: check both with 'starter keys --json'", label, tenant)
}
