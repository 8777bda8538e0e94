package ledger_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table of invariants in docs/ledger.md leads from each rule to its proof:
// there is a row for every rule, and every test that it names is there.
func TestRules_EachNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "ledger.md"))
	require.NoError(t, err)
	tests := allTests(t, root)
	for rule := 1; rule <= 16; rule++ {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| L%d \|.*$`, rule)).FindString(string(page))
		require.NotEmpty(t, row, "docs/ledger.md has no row for L%d", rule)
		named := regexp.MustCompile("`([A-Za-z0-9_]+)`").FindAllStringSubmatch(row, -1)
		require.NotEmpty(t, named, "the row of L%d names no test", rule)
		carries := false
		for _, name := range named {
			require.True(t, tests[name[1]], "L%d: there is no test %s", rule, name[1])
			carries = carries || strings.Contains(name[1], fmt.Sprintf("L%d_", rule))
		}
		require.True(t, carries, "no test of L%d carries its number", rule)
	}
}

// allTests are the names of test functions, and of the tests of suites.
func allTests(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	name := regexp.MustCompile(`func (Test\w+)\(|\{"(\w+)", \w+\}`)
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "vaultproxy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			found[m[1]+m[2]] = true
		}
		return err
	}))
	return found
}
