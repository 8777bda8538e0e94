package activities

import (
	"context"
	"time"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

// IssueNoticeInput asks for the vault key of a phase that writes to customers.
type IssueNoticeInput struct {
	Phase       string    `json:"phase"`         // PhaseReceipts or PhaseTexts
	RunLabel    string    `json:"run_label"`     // of the charges
	ChargeKeyID string    `json:"charge_key_id"` // the ledger that knows it is the run's
	NoticeLabel string    `json:"notice_label"`  // under which the phase's own budget is kept
	BudgetUSD   money.USD `json:"budget_usd"`
	// PerCallCapUSD bounds each single notice; zero: no such bound.
	PerCallCapUSD money.USD     `json:"per_call_cap_usd,omitempty"`
	TTL           time.Duration `json:"ttl"`
	ListSHA256    string        `json:"list_sha256"`
	// Renew is that of IssueInput.
	Renew bool `json:"renew,omitempty"`
}

// noticeVendor is who carries out a phase, and all that its key may call.
func noticeVendor(phase string) (vendor, endpoint string, known bool) {
	switch phase {
	case PhaseReceipts:
		return "resend", "POST /emails", true
	case PhaseTexts:
		return "twilio", "POST /2010-04-01/Accounts/{account}/Messages.json", true
	}
	return "", "", false
}

// IssueNoticeKey issues the key of a phase. Its label is not the charges': a run
// has one budget for all of its keys, and notices must not eat the charges'.
//
// A run that a person has closed gets none. Whoever closes a run closes its
// charges first, then its phases. So a key that was issued too late for the second
// is found out here, and is revoked.
func (a *Activities) IssueNoticeKey(ctx context.Context, in IssueNoticeInput) (IssuedKey, error) {
	vendor, endpoint, known := noticeVendor(in.Phase)
	if !known {
		return IssuedKey{}, rule{errorType: TypeInvalidRequest, text: "there is no such phase"}.applicationError("", 0)
	}
	if _, err := a.control.Key(ctx, in.ChargeKeyID); err != nil {
		return IssuedKey{}, ledgerError(err)
	}
	req := client.IssueRequest{
		Vendor:           vendor,
		AllowedEndpoints: []string{endpoint},
		ExpiresIn:        in.TTL.String(),
		AgentRunLabel:    in.NoticeLabel,
		Phase:            in.Phase,
		RunUSDCap:        &in.BudgetUSD,
		AgentName:        agentName,
		InputsDigest:     in.ListSHA256,
		Renew:            in.Renew,
	}
	if in.PerCallCapUSD > 0 {
		req.PerCallUSDCap = &in.PerCallCapUSD
	}
	key, err := a.control.Issue(ctx, req, in.NoticeLabel+"/"+in.Phase)
	if err != nil {
		return IssuedKey{}, issueError(err, in.Renew)
	}
	report, err := a.control.RunReport(ctx, in.RunLabel)
	if err != nil {
		return IssuedKey{}, ledgerError(err)
	}
	if !report.Closed {
		return IssuedKey(key), nil
	}
	if _, err := a.control.Revoke(ctx, key.KeyID); err != nil {
		return IssuedKey{}, ledgerError(err)
	}
	return IssuedKey{}, rule{errorType: TypeRunRevoked, text: "the run was revoked; its customers are not written to"}.applicationError("", 0)
}
