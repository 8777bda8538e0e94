package activities_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tollgate/tollgate/activities"
)

func TestAwaitProxy_SucceedsOnceBothPlanesAnswer(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answer http.HandlerFunc
		away   bool
	}{
		"both answer, the data plane with a refusal": {answer: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}},
		"the control plane is not ready": {away: true, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		"the data plane does not answer": {away: true, answer: func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				panic(http.ErrAbortHandler)
			}
		}},
		"a gateway answers for the data plane": {away: true, answer: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				w.WriteHeader(http.StatusBadGateway)
			}
		}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer = c.answer
			_, err := b.env.ExecuteActivity(b.act.AwaitProxy)
			if c.away {
				requireFault(t, err, activities.TypeProxyUnreachable, true)
				return
			}
			require.NoError(t, err)
		})
	}
}
