package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tollgate/tollgate/workflows"
)

// approvalFlags say which charges wait for a person.
type approvalFlags struct {
	mode      string
	above     string
	timeout   time.Duration
	onTimeout string
	keyTTL    time.Duration
}

func (a *approvalFlags) bind(set *pflag.FlagSet) {
	set.StringVar(&a.mode, "approve", "", "'all': every charge waits for 'starter approve'")
	set.StringVar(&a.above, "approve-above-usd", "", "charges above this many dollars wait for 'starter approve'")
	set.DurationVar(&a.timeout, "approval-timeout", 72*time.Hour, "how long they wait once everything else is charged")
	set.StringVar(&a.onTimeout, "on-approval-timeout", workflows.Reject, "what then becomes of them: reject or approve")
	set.DurationVar(&a.keyTTL, "approved-key-ttl", 30*time.Minute, "life of the vault key that approved charges are made with")
}

// input is nil where nothing waits.
func (a *approvalFlags) input() (*workflows.ApprovalInput, error) {
	in := &workflows.ApprovalInput{All: a.mode == "all", Timeout: a.timeout, OnTimeout: a.onTimeout, KeyTTL: a.keyTTL}
	switch {
	case a.mode != "" && a.mode != "all":
		return nil, usage(fmt.Sprintf("--approve is %q: it takes 'all'; --approve-above-usd takes an amount", a.mode))
	case in.All && a.above != "":
		return nil, usage("give --approve all or --approve-above-usd, not both")
	case !in.All && a.above == "":
		return nil, nil
	case a.above != "":
		var err error
		if in.AboveUSD, err = amount("--approve-above-usd", a.above); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// parseItems reads "3,7-9" as the items 3, 7, 8 and 9; empty means all that wait.
func parseItems(text string) (workflows.Ranges, error) {
	var items workflows.Ranges
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 0 || to < from {
			return nil, usage(fmt.Sprintf("--items has %q: give item numbers and ranges such as 3,7-9; 'starter status' shows what waits", part))
		}
		one := workflows.Ranges{{From: from, To: to + 1}}
		if len(one.Without(items)) != 1 || one.Without(items)[0] != one[0] {
			return nil, usage(fmt.Sprintf("--items names item %d twice or more", from))
		}
		items.Merge(one)
	}
	return items, nil
}

// itemList is how people are told of items: the reverse of parseItems.
func itemList(items workflows.Ranges) string {
	var parts []string
	for _, r := range items {
		if r.To == r.From+1 {
			parts = append(parts, strconv.Itoa(r.From))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", r.From, r.To-1))
		}
	}
	return strings.Join(parts, ",")
}
