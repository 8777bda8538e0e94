package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const listHeader = "customer,payment_method,amount_cents,currency\n"

func TestStarter_TellsBadInputInOneLineAndStartsNothing(t *testing.T) {
	t.Parallel()

	good := "run --plan pro --period 2026-11 --generate 3 --budget-usd 500"
	without := func(flag string) string {
		before, after, _ := strings.Cut(good, flag+" ")
		_, rest, _ := strings.Cut(after, " ")
		return before + rest
	}
	for name, test := range map[string]struct {
		args string
		list string // replaces --generate by --customers and a file of this content
		want string // LIST is the file's path
	}{
		"a command that does not exist": {
			args: "bill", want: `"bill" is not a command or an argument of 'starter'; see 'starter --help'`},
		"a flag that does not exist": {
			args: good + " --budget 5", want: "unknown flag: --budget; see 'starter run --help'"},
		"an argument that run does not take": {
			args: good + " now", want: `"now" is not a command or an argument of 'starter run'; see 'starter run --help'`},
		"no plan": {
			args: without("--plan"), want: "which plan? give --plan, such as --plan pro"},
		"a plan that cannot be part of an ID": {
			args: good + " --plan Pro/1", want: `plan "Pro/1" may have only a-z, 0-9 and inner hyphens`},
		"no period": {
			args: without("--period"), want: "which month? give --period, such as --period 2026-11"},
		"a period that is not a month": {
			args: good + " --period 2026-13", want: `period "2026-13" must be a month such as 2026-11`},
		"receipts without a budget of their own": {
			args: good + " --receipts-from billing@example.com", want: "how much may they cost? give --receipts-budget-usd, such as --receipts-budget-usd 5"},
		"receipts from nobody": {
			args: good + " --receipts-budget-usd 5", want: "who sends the receipts? give --receipts-from, or leave out the other flags about receipts"},
		"receipts from no address": {
			args: good + " --receipts-from billing --receipts-budget-usd 5",
			want: `sender of receipts "billing" must be an e-mail address, such as Acme <billing@acme.example>`},
		"texts from nobody": {
			args: good + " --texts-body x", want: "who sends the texts? give --texts-from or --texts-messaging-service, or leave out the other flags about texts"},
		"texts from a number that is none": {
			args: good + " --texts-from 0201555 --texts-budget-usd 5", want: `sender of texts "0201555" must be a number in E.164, such as +12015550100`},
		"no budget": {
			args: without("--budget-usd"), want: "how much may the run spend? give --budget-usd, such as --budget-usd 500"},
		"a budget that is not a number": {
			args: good + " --budget-usd lots", want: `--budget-usd: "lots" is not an amount of dollars: write digits with at most one decimal point, such as 499.99`},
		"a negative budget": {
			args: good + " --budget-usd -5", want: `--budget-usd: "-5" is not an amount of dollars: write digits with at most one decimal point, such as 499.99`},
		"a budget of zero": {
			args: good + " --budget-usd 0.00", want: "--budget-usd is zero: give an amount of dollars above it, such as 500"},
		"a budget that does not fit": {
			args: good + " --budget-usd 99999999999999", want: `--budget-usd: "99999999999999" is too large: at most 9223372036854 dollars`},
		"a cap per charge of zero": {
			args: good + " --per-charge-cap-usd 0", want: "--per-charge-cap-usd is zero: give an amount of dollars above it, such as 500"},
		"a duration without a unit": {
			args: good + " --key-ttl 2", want: `invalid argument "2" for "--key-ttl" flag: time: missing unit in duration "2"; see 'starter run --help'`},
		"a key that would outlive a month": {
			args: good + " --key-ttl 2000h", want: "key lifetime 2000h0m0s must be at most 744h0m0s (31 days)"},
		"a duration of zero": {
			args: good + " --key-ttl 0s", want: "--key-ttl is 0s: it must be at least 1s, such as 2h or 90s"},
		"no charge in an activity": {
			args: good + " --charges-per-activity 0", want: "--charges-per-activity is 0: it must be from 1 to 1000"},
		"attempts for longer than a vendor remembers them": {
			args: good + " --charge-timeout 25h", want: "charge timeout 25h0m0s must be from 1s to 24h0m0s"},
		"a batch that may take a year": {
			args: good + " --batch-timeout 8760h", want: "batch timeout 8760h0m0s must be from 1s to 2160h0m0s (90 days)"},
		"an outage that may not last": {
			args: good + " --outage-limit 0s", want: "--outage-limit is 0s: it must be at least 1s, such as 2h or 90s"},
		"declines of no earlier run": {
			args: good + " --retry-declined", want: "--retry-declined goes with --continue: a run tries again what an earlier one had declined"},
		"a window that no server would take": {
			args: good + " --window 2000", want: "--window is 2000: it must be from 1 to 1000"},
		"an empty batch": {
			args: good + " --batch-size 0", want: "--batch-size is 0: it must be from 1 to 2000"},
		"no batches at all": {
			args: good + " --parallelism -1", want: "--parallelism is -1: it must be from 1 to 100"},
		"nobody to charge": {
			args: without("--generate"), want: "whom to charge? give --customers FILE, or --generate N for a made-up list"},
		"two lists": {
			args: good + " --customers a.csv", want: "give --customers or --generate, not both"},
		"a made-up list that is too long": {
			args: good + " --generate 1000001", want: "--generate is 1000001: it must be from 1 to 1000000"},
		"a list that is not there": {
			args: without("--generate") + " --customers no/such.csv", want: "there is no customer list no/such.csv: check --customers"},
		"a list that is a folder": {
			args: without("--generate") + " --customers /", want: "/: it must be a regular file"},
		"a list without a column": {
			args: without("--generate"), list: "customer,amount_cents,currency\n", want: "LIST:1: "},
		"a charge of nothing": {
			args: without("--generate"), list: listHeader + "cus_1,pm_1,500,usd\ncus_2,pm_1,0,usd\n", want: "LIST:3: "},
		"a negative charge": {
			args: without("--generate"), list: listHeader + "cus_1,pm_1,-500,usd\n", want: "LIST:2: "},
		"a charge above the vendor's maximum": {
			args: without("--generate"), list: listHeader + "cus_1,pm_1,100000000,usd\n", want: "LIST:2: "},
		"a currency that is not known": {
			args: without("--generate"), list: listHeader + "cus_1,pm_1,500,eur\n", want: "LIST:2: "},
		"a customer twice": {
			args: without("--generate"), list: listHeader + "cus_1,pm_1,500,usd\ncus_1,pm_2,700,usd\n", want: "LIST:3: "},
		"a list of nobody": {
			args: without("--generate"), list: listHeader, want: "LIST"},
		"status of no run": {
			args: "status", want: "which run? name it by --plan and --period, or by its workflow ID such as billing-pro-2026-11"},
		"status of a plan without a period": {
			args: "status --plan pro", want: "which month? give --period, such as --period 2026-11"},
		"status of a run named twice": {
			args: "status billing-pro-2026-11 --plan pro --period 2026-11", want: "name the run once: by its workflow ID, or by --plan and --period"},
		"status of two runs": {
			args: "status a b", want: `"b" is one argument too many; see 'starter status --help'`},
		"revoke of no run": {
			args: "revoke", want: "which run? name it by --plan and --period, or by its workflow ID such as billing-pro-2026-11"},
		"report of a run named twice": {
			args: "report billing-pro-2026-11 --run-label x", want: "name the run once: by --run-label, by its workflow ID, or by --plan and --period"},
		"audit in two formats": {
			args: "audit --json --ndjson", want: "give --json or --ndjson, not both"},
		"audit of a verdict that there is not": {
			args: "audit --verdict deny", want: `--verdict is "deny": it must be one of settled, committed, released, unknown, replayed, denied, read, issued, revoked, cap_set`},
		"audit of fewer than no rows": {
			args: "audit --limit -1", want: "--limit must not be negative; zero means all rows"},
		"a schedule of no plan": {
			args: "schedule create --generate 3 --budget-usd 5", want: "which plan? give --plan, such as --plan pro"},
		"a schedule on a day that not every month has": {
			args: "schedule create --plan pro --generate 3 --budget-usd 5 --day 31", want: "--day is 31: it must be from 1 to 28, which every month has"},
		"a schedule at no time of the day": {
			args: "schedule create --plan pro --generate 3 --budget-usd 5 --at noon", want: `--at is "noon": give a time of the day in UTC, such as 06:00`},
		"a schedule for one month": {
			args: "schedule create --plan pro --period 2026-11", want: "unknown flag: --period; see 'starter schedule create --help'"},
		"a schedule without a budget": {
			args: "schedule create --plan pro --generate 3", want: "how much may the run spend? give --budget-usd, such as --budget-usd 500"},
		"a pause of no schedule": {
			args: "schedule pause", want: "which plan? give --plan, such as --plan pro"},
		"an approval of something": {
			args: good + " --approve some", want: `--approve is "some": it takes 'all'; --approve-above-usd takes an amount`},
		"two kinds of approval": {
			args: good + " --approve all --approve-above-usd 5", want: "give --approve all or --approve-above-usd, not both"},
		"an approval that is decided by chance": {
			args: good + " --approve all --on-approval-timeout maybe", want: "what happens at the end of the time for approvals must be approve or reject"},
		"an end of approvals where nothing waits": {
			args: good + " --on-approval-timeout approve", want: "--on-approval-timeout is for charges that wait: give --approve all or --approve-above-usd too"},
		"a time for approvals where nothing waits": {
			args: good + " --approval-timeout 1h", want: "--approval-timeout is for charges that wait: give --approve all or --approve-above-usd too"},
		"a key for approved charges where nothing waits": {
			args: good + " --approved-key-ttl 1h", want: "--approved-key-ttl is for charges that wait: give --approve all or --approve-above-usd too"},
		"a window of notices that nobody gets": {
			args: good + " --notice-window 4", want: "--notice-window is for receipts and texts: give --receipts-from, --texts-from or --texts-messaging-service too"},
		"a seed of a list that is not made up": {
			args: without("--generate") + " --seed 4", list: listHeader + "cus_1,pm_1,500,usd\n", want: "--seed is for made-up customers"},
		"an approval by nobody": {
			args: "approve billing-pro-2026-11", want: "who decides, and why? give --by and --reason: the run's history keeps both"},
		"an approval of no items": {
			args: "approve billing-pro-2026-11 --by Ada --reason ok --items 3-1", want: "--items has \"3-1\": give item numbers and ranges such as 3,7-9; 'starter status' shows what waits"},
		"an approval of what a variable does not hold": {
			args: "approve billing-pro-2026-11 --by Ada --reason ok --items=", want: "--items is empty: name the items, or leave it out to approve all that wait"},
		"an approval of an item twice": {
			args: "reject billing-pro-2026-11 --by Ada --reason ok --items 3,2-4", want: "--items names item 2 twice or more"},
		"a raise to nothing": {
			args: "raise-budget billing-pro-2026-11 --by Ada --reason ok", want: "how much may the run spend? give --budget-usd, such as --budget-usd 500"},
		"a pause for no reason": {
			args: "pause --plan pro --period 2026-11 --by Ada", want: "who decides, and why? give --by and --reason: the run's history keeps both"},
		"a control URL that is not one": {
			args: "keys --control-url proxy:8788 --admin-key-file ADMINKEY", want: "the vault proxy's control URL must look like http://127.0.0.1:8787"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			args := strings.Fields(test.args)
			list := filepath.Join(b.dir, "list.csv")
			if test.list != "" {
				args = append(args, "--customers", b.file(t, "list.csv", test.list))
			}
			for i := range args {
				if args[i] == "ADMINKEY" {
					args[i] = b.file(t, "admin.key", "admin_test\n")
				}
			}

			code := b.run(t.Context(), args)

			require.Equal(t, exitUsage, code, b.stderr.String())
			want := "starter: " + strings.ReplaceAll(test.want, "LIST", list)
			if test.list != "" {
				require.Contains(t, b.errorLine(t), want)
				require.Greater(t, len(b.errorLine(t)), len(want)+10, "the line names the place but not the problem")
			} else {
				require.Equal(t, want, b.errorLine(t))
			}
			require.Empty(t, b.stdout.String())
		})
	}
}

func TestStarter_ShowsItsCommandsWhenAskedForNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, exitOK, b.run(t.Context(), []string{}))
	for _, command := range []string{"run", "status", "revoke", "report", "keys", "audit"} {
		require.Regexp(t, `(?m)^  `+command+` `, b.stdout.String())
	}
	require.Empty(t, b.stderr.String())
}

func TestOneLine_JoinsTheLinesOfAnError(t *testing.T) {
	t.Parallel()
	require.Equal(t, "toml: line 3; expected a value", oneLine("toml: line 3\r\nexpected a value\n"))
}
