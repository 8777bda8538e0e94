package activities

import (
	"context"
	"errors"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// agentName is what the proxy's reports group billing runs under.
const agentName = "billing"

// chargeEndpoint is all that the run's vault key may call.
const chargeEndpoint = "POST /v1/payment_intents"

// IssueInput asks for a run's vault key.
type IssueInput struct {
	RootWorkflowID string    `json:"root_workflow_id"`
	RunLabel       string    `json:"run_label"`
	Phase          string    `json:"phase"` // tells apart the keys of one run
	BudgetUSD      money.USD `json:"budget_usd"`
	// PerChargeCapUSD bounds each single call; zero: no such bound.
	PerChargeCapUSD money.USD     `json:"per_charge_cap_usd,omitempty"`
	TTL             time.Duration `json:"ttl"`
	// ListSHA256 of the pinned customer list: the ledger holds the run to it, also
	// where Temporal has forgotten that there was one.
	ListSHA256 string `json:"list_sha256"`
	// Renew asks for a further key of the phase where the last one was revoked, as it
	// is at the end of a run. A run that a person revoked is closed, and gets none.
	Renew bool `json:"renew,omitempty"`
}

// IssuedKey is a vault key and what it is called in reports.
type IssuedKey struct {
	VaultKey  string    `json:"vault_key"`
	KeyID     string    `json:"key_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// IssueVaultKey issues the key of a run's phase. A retry gets the same key: its
// identity is the root workflow and the phase, never the attempt.
func (a *Activities) IssueVaultKey(ctx context.Context, in IssueInput) (IssuedKey, error) {
	// The run's budget alone, and for all its days: a run that crosses midnight UTC
	// would have a daily cap a second time. Every further key of the run draws on the
	// same money, and a person who raises the run's cap raises it for all of them.
	req := client.IssueRequest{
		Vendor:           "stripe",
		AllowedEndpoints: []string{chargeEndpoint},
		ExpiresIn:        in.TTL.String(),
		AgentRunLabel:    in.RunLabel,
		Phase:            in.Phase,
		RunUSDCap:        &in.BudgetUSD,
		AgentName:        agentName,
		InputsDigest:     in.ListSHA256,
		Renew:            in.Renew,
	}
	if in.PerChargeCapUSD > 0 {
		req.PerCallUSDCap = &in.PerChargeCapUSD
	}
	// The label and not the workflow ID alone: two namespaces may have the same one.
	key, err := a.control.Issue(ctx, req, in.RunLabel+"/"+in.Phase)
	if err != nil {
		return IssuedKey{}, issueError(err, in.Renew)
	}
	return IssuedKey(key), nil
}

// issueError says what can be done about a run whose last key was revoked: that
// happens at the end of each run, and when a person ends it for good.
func issueError(err error, renew bool) error {
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != "run_revoked" {
		return controlError(err)
	}
	text := "the run's vault key was revoked, since the run ended or a person revoked it; 'starter run --continue' finishes a run that ended"
	if renew {
		text = "a person revoked the run: it is closed, and gets no further key, not even by --continue"
	}
	return rule{errorType: TypeRunRevoked, text: text}.applicationError("", 0)
}

// RevokeInput names a key.
type RevokeInput struct {
	KeyID string `json:"key_id"`
}

// RevokeResult is what was still in flight when the key was revoked.
type RevokeResult struct {
	InFlight int `json:"in_flight"`
	Unknown  int `json:"unknown"`
}

// RevokeVaultKey revokes one key; revoking it again changes nothing. It revokes
// by key and not by run, since closing the run would also bar a later key of it.
// That it succeeds proves that the ledger is the one that issued the key.
func (a *Activities) RevokeVaultKey(ctx context.Context, in RevokeInput) (RevokeResult, error) {
	out, err := a.control.Revoke(ctx, in.KeyID)
	if err != nil {
		return RevokeResult{}, ledgerError(err)
	}
	return RevokeResult{InFlight: out.InFlight, Unknown: out.UnknownCalls}, nil
}
