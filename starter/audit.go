package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/tollgate/tollgate/vaultproxy/client"
	"github.com/tollgate/tollgate/vaultproxy/money"
)

const (
	auditPage  = 1000 // rows of one request, the control plane's maximum
	auditLimit = 100  // rows of a table unless told otherwise
)

func (p *program) auditCommand() *cobra.Command {
	var (
		t              target
		c              control
		verdict        string
		limit          int
		asJSON, ndjson bool
	)
	cmd := &cobra.Command{
		Use:   "audit [WORKFLOW_ID | --plan PLAN --period YYYY-MM | --run-label LABEL]",
		Short: "Show the audit log, oldest first: all of it, or one run's",
		Example: "  starter audit billing-pro-2026-11 --verdict denied\n" +
			"  starter audit billing-pro-2026-11 --ndjson > audit.ndjson",
		Args: oneArgumentAtMost,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && ndjson {
				return usage("give --json or --ndjson, not both")
			}
			if limit < 0 {
				return usage("--limit must not be negative; zero means all rows")
			}
			if !cmd.Flags().Changed("limit") && (asJSON || ndjson) {
				limit = 0
			}
			// The ledger has no rows of a word that it does not know, and no rows would
			// look like nothing having happened.
			if verdict != "" && !slices.Contains(auditVerdicts(), verdict) {
				return usage(fmt.Sprintf("--verdict is %.40q: it must be one of %s", verdict, strings.Join(auditVerdicts(), ", ")))
			}
			query := client.AuditQuery{Verdict: verdict}
			if t.named(args) {
				var err error
				if query.Run, err = p.runLabel(&t, args); err != nil {
					return err
				}
			}
			vault, address, err := p.vault(c)
			if err != nil {
				return err
			}
			log := auditLog{vault: vault, query: query, limit: limit}
			switch {
			case ndjson:
				encoder := json.NewEncoder(p.stdout)
				err = log.each(cmd.Context(), func(row client.AuditRow) error { return encoder.Encode(row) })
			case asJSON:
				all := client.AuditPage{Rows: []client.AuditRow{}}
				err = log.each(cmd.Context(), func(row client.AuditRow) error { all.Rows = append(all.Rows, row); return nil })
				if err == nil {
					err = writeJSON(p.stdout, all)
				}
			default:
				err = p.auditTable(cmd.Context(), &log)
			}
			if err != nil {
				return controlFailure(address, err)
			}
			return nil
		},
	}
	t.bindLabel(cmd.Flags())
	c.bind(cmd.Flags())
	fs := cmd.Flags()
	fs.StringVar(&verdict, "verdict", "", "only rows of this verdict: "+strings.Join(auditVerdicts(), ", "))
	fs.IntVar(&limit, "limit", auditLimit, "rows at most; zero means all, which is the default for --json and --ndjson")
	fs.BoolVar(&asJSON, "json", false, "write one JSON object with all rows")
	fs.BoolVar(&ndjson, "ndjson", false, "write each row as a line of JSON, as it arrives")
	return cmd
}

// auditVerdicts are the verdicts that a row may have.
func auditVerdicts() []string {
	return []string{"settled", "committed", "released", "unknown", "replayed", "denied", "read", "issued", "revoked", "cap_set"}
}

// auditLog reads page after page, so that a long log need not fit in memory.
type auditLog struct {
	vault *client.Client
	query client.AuditQuery
	limit int  // zero: all rows
	more  bool // set by each: the limit cut rows off
}

func (l *auditLog) each(ctx context.Context, row func(client.AuditRow) error) error {
	l.query.Limit = auditPage
	if l.limit > 0 && l.limit < auditPage {
		l.query.Limit = l.limit + 1 // one more row tells whether there are more
	}
	for seen := 0; ; {
		page, err := l.vault.Audit(ctx, l.query)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if l.limit > 0 && seen == l.limit {
				l.more = true
				return nil
			}
			if err := row(page.Rows[i]); err != nil {
				return err
			}
			seen++
		}
		if page.NextCursor == "" {
			return nil
		}
		l.query.Cursor = page.NextCursor
	}
}

func (p *program) auditTable(ctx context.Context, log *auditLog) error {
	// As with keys, a row names its run only where there may be several.
	runs := log.query.Run == ""
	header := []any{"time (utc)", "verdict", "code", "item", "status", "price", "booked"}
	if runs {
		header = append(header, "run")
	}
	t := newTable(header...)
	alignRight(t, 4, 5, 6, 7)
	err := log.each(ctx, func(row client.AuditRow) error {
		cells := auditRow(row)
		if runs {
			cells = append(cells, row.AgentRunLabel)
		}
		t.AppendRow(cells)
		return nil
	})
	if err != nil {
		return err
	}
	if err := writeTables(p.stdout, t); err != nil {
		return err
	}
	if t.Length() == 0 {
		_, _ = fmt.Fprintln(p.stderr, nothingFound(log.query.Run, "audit row"))
	}
	if log.more {
		_, _ = fmt.Fprintf(p.stderr, "there are more rows: --limit 0 shows all, --ndjson writes them all as JSON\n")
	}
	return nil
}

// auditRow fits 80 columns; --json has the rest of each row.
func auditRow(r client.AuditRow) table.Row {
	status := ""
	if r.Status != 0 {
		status = strconv.Itoa(r.Status)
	}
	return table.Row{r.At.UTC().Format(time.DateTime), r.Verdict, r.Code, r.Item, status, unlessZero(r.PriceUSD), unlessZero(r.AmountUSD)}
}

func unlessZero(u money.USD) string {
	if u == 0 {
		return ""
	}
	return dollars(u)
}
