package customerlist_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tollgate/tollgate/activities/customerlist"
)

func TestPage_GivesTheSameCustomersHoweverTheListIsCut(t *testing.T) {
	t.Parallel()
	source := longList(t, 2000)
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	reader := customerlist.NewReader()
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, 2000).Draw(t, "from")
		to := rapid.IntRange(from, 2000).Draw(t, "to")
		page, err := reader.Page(t.Context(), source, pinned, from, to)
		require.NoError(t, err)
		require.Len(t, page, to-from)
		for i, customer := range page {
			require.Equal(t, fmt.Sprintf("cus_%d", from+i), customer.ID)
			require.Equal(t, int64(from+i+1), customer.AmountCents)
		}
	})
}

func TestPage_NoticesAnyChangeSinceThePin(t *testing.T) {
	t.Parallel()
	for sentence, change := range map[string]func([]byte) []byte{
		"one digit of an amount": func(b []byte) []byte {
			return bytes.Replace(b, []byte("cus_700,pm_card_visa,701"), []byte("cus_700,pm_card_visa,709"), 1)
		},
		"a line that is no more": func(b []byte) []byte { return bytes.Replace(b, []byte("cus_3,pm_card_visa,4,usd\n"), nil, 1) },
		"a line at the end":      func(b []byte) []byte { return append(b, "cus_new,pm_card_visa,1,usd\n"...) },
		"two lines swapped": func(b []byte) []byte {
			b = bytes.Replace(b, []byte("cus_700,"), []byte("cus_###,"), 1)
			b = bytes.Replace(b, []byte("cus_701,"), []byte("cus_700,"), 1)
			return bytes.Replace(b, []byte("cus_###,"), []byte("cus_701,"), 1)
		},
		"nothing left":     func([]byte) []byte { return nil },
		"no longer a list": func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"columns in the header": func(b []byte) []byte {
			return bytes.Replace(b, []byte("customer,payment_method"), []byte("payment_method,customer"), 1)
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			source := longList(t, 1000)
			pinned, err := customerlist.Pin(t.Context(), source)
			require.NoError(t, err)
			warm := customerlist.NewReader()
			_, err = warm.Page(t.Context(), source, pinned, 0, 10)
			require.NoError(t, err)

			content, err := os.ReadFile(source.Path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(source.Path, change(content), 0o600))

			var changed *customerlist.ChangedError
			_, err = customerlist.NewReader().Page(t.Context(), source, pinned, 690, 710)
			require.ErrorAs(t, err, &changed, "by a worker that reads the list for the first time")
			if sentence == "columns in the header" {
				// The index has the columns as they were pinned, and the lines are unchanged.
				page, err := warm.Page(t.Context(), source, pinned, 700, 701)
				require.NoError(t, err)
				require.Equal(t, "cus_700", page[0].ID)
				return
			}
			_, err = warm.Page(t.Context(), source, pinned, 690, 710)
			require.ErrorAs(t, err, &changed, "by a worker that has an index of the list")
		})
	}
}

func TestPage_TellsAFileThatIsGoneFromOneThatChanged(t *testing.T) {
	t.Parallel()
	source := longList(t, 10)
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	require.NoError(t, os.Remove(source.Path))
	_, err = customerlist.NewReader().Page(t.Context(), source, pinned, 0, 10)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestPage_RefusesRangesOutsideOfTheList(t *testing.T) {
	t.Parallel()
	source := customerlist.Source{Generate: 10}
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	for _, bad := range [][2]int{{-1, 3}, {3, 2}, {0, 11}} {
		_, err := customerlist.NewReader().Page(t.Context(), source, pinned, bad[0], bad[1])
		var unusable *customerlist.Error
		require.ErrorAs(t, err, &unusable)
	}
}

func TestPage_ServesManyBatchesAtOnce(t *testing.T) {
	t.Parallel()
	source := longList(t, 1000)
	pinned, err := customerlist.Pin(t.Context(), source)
	require.NoError(t, err)
	reader := customerlist.NewReader()
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			page, err := reader.Page(t.Context(), source, pinned, n*50, n*50+50)
			if err != nil || page[0].ID != fmt.Sprintf("cus_%d", n*50) {
				t.Errorf("page %d: %v", n, err)
			}
		})
	}
	all.Wait()
}

func TestPage_ForgetsOldIndexesAndBuildsThemAgain(t *testing.T) {
	t.Parallel()
	reader := customerlist.NewReader()
	first := longList(t, 300)
	pinned, err := customerlist.Pin(t.Context(), first)
	require.NoError(t, err)
	for range 2 {
		page, err := reader.Page(t.Context(), first, pinned, 299, 300)
		require.NoError(t, err)
		require.Equal(t, "cus_299", page[0].ID)
		for n := range 20 {
			other := customerlist.Source{Generate: n + 1}
			otherPin, err := customerlist.Pin(t.Context(), other)
			require.NoError(t, err)
			_, err = reader.Page(t.Context(), other, otherPin, 0, 1)
			require.NoError(t, err)
		}
	}
}

func TestGenerated_IsAFunctionOfTheSeedAlone(t *testing.T) {
	t.Parallel()
	pin := func(n int, seed int64) customerlist.Pinned {
		pinned, err := customerlist.Pin(t.Context(), customerlist.Source{Generate: n, Seed: seed})
		require.NoError(t, err)
		return pinned
	}
	require.NotEqual(t, pin(3000, 1).SHA256, pin(3000, 2).SHA256)
	// A list that another version of the generator would make differently must
	// fail its runs as changed, so the bytes are part of the contract.
	require.Equal(t, "50ae4080ad7a95115535e5a94f025d6dea1b3dbb8783e3b84a7f38b520fd7ca3", pin(3000, 1).SHA256)
}

func TestGenerated_HasTheSharesItPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source := customerlist.Source{Generate: rapid.IntRange(100, 3000).Draw(t, "count"), Seed: rapid.Int64().Draw(t, "seed")}
		pinned, err := customerlist.Pin(t.Context(), source)
		require.NoError(t, err)
		page, err := customerlist.NewReader().Page(t.Context(), source, pinned, 0, source.Generate)
		require.NoError(t, err)
		declining, missing := 0, 0
		for i, c := range page {
			require.Equal(t, fmt.Sprintf("cus_sim_%06d", i+1), c.ID)
			require.GreaterOrEqual(t, c.AmountCents, int64(100))
			require.LessOrEqual(t, c.AmountCents, int64(4000))
			switch c.PaymentMethod {
			case "pm_card_visa":
			case fmt.Sprintf("pm_missing_%06d", i+1):
				missing++
			default:
				declining++
			}
		}
		blocks := (source.Generate + 249) / 250
		require.InDelta(t, source.Generate/25, declining, float64(1+blocks), "about 4 %")
		require.GreaterOrEqual(t, declining, 1)
		require.GreaterOrEqual(t, missing, source.Generate/250)
		require.GreaterOrEqual(t, missing, 1)
		require.LessOrEqual(t, missing, blocks)
	})
}
