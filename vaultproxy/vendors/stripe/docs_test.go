package stripe_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/vaultproxy/vendors/stripe"
)

// docTable reads the rows of the table under a heading of docs/stripe.md: their
// cells without back quotes.
func docTable(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/stripe.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	require.True(t, found, heading)
	var rows [][]string
	for line := range strings.Lines(section) {
		switch {
		case strings.HasPrefix(line, "#"):
			return rows
		case strings.HasPrefix(line, "| `"):
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|\n "), "|") {
				cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "`", ""))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestDocs_ListEveryOperationAndNoOther(t *testing.T) {
	t.Parallel()
	documented := map[string]string{}
	for _, row := range docTable(t, "## Operations") {
		require.Len(t, row, 5, row[0])
		require.NotContains(t, documented, row[0])
		documented[row[0]] = strings.TrimPrefix(row[1], "POST ")
	}
	require.Equal(t, stripe.Operations(), documented)
}

func TestDocs_GiveTheReasonOfEveryDeniedOperation(t *testing.T) {
	t.Parallel()
	documented := map[string]string{}
	for _, row := range docTable(t, "## Denied operations") {
		require.Len(t, row, 2, row[0])
		require.NotContains(t, documented, row[0])
		documented[row[0]] = row[1]
	}
	require.Equal(t, stripe.Denied(), documented)
}

func TestParse_SaysWhyAnOperationIsDenied(t *testing.T) {
	t.Parallel()
	for path, reason := range stripe.Denied() {
		for _, below := range []string{"", "/more"} {
			_, err := newProfile(t).Parse(form(strings.ReplaceAll(path, "{id}", "x_1")+below, ""))
			require.ErrorContains(t, err, reason[:20], path+below)
		}
	}
}
