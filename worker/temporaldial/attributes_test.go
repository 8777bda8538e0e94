package temporaldial

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/tollgate/tollgate/e2e/peer"
)

func TestEnsureSearchAttributes_RegistersThemOnThisMachineAlone(t *testing.T) {
	t.Parallel()
	connected, address := peer.DevServer(t)
	opts := client.Options{HostPort: address, Namespace: "default"}
	wanted := map[string]enums.IndexedValueType{"TollgateState": enums.INDEXED_VALUE_TYPE_KEYWORD, "TollgatePeriod": enums.INDEXED_VALUE_TYPE_KEYWORD}

	elsewhere := client.Options{HostPort: "temporal.internal:7233", Namespace: "default"}
	const told = "namespace default at temporal.internal:7233 does not know the search attributes TollgatePeriod, TollgateState, without which no run gets on: " +
		"create them with 'temporal operator search-attribute create -n default --name TollgatePeriod --type Keyword --name TollgateState --type Keyword'"
	require.EqualError(t, EnsureSearchAttributes(t.Context(), connected, elsewhere, wanted), told)
	require.EqualError(t, EnsureSearchAttributes(t.Context(), connected, elsewhere, wanted), told, "nothing was changed there")

	require.NoError(t, EnsureSearchAttributes(t.Context(), connected, opts, wanted))
	require.NoError(t, EnsureSearchAttributes(t.Context(), connected, opts, wanted), "again")
	require.NoError(t, EnsureSearchAttributes(t.Context(), connected, elsewhere, wanted), "what is there is fine anywhere")
	registered, err := connected.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	require.NoError(t, err)
	for name, kind := range wanted {
		require.Equal(t, kind, registered.GetCustomAttributes()[name], name)
	}
}

func TestEnsureSearchAttributes_TellsThatTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	connected, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1"})
	require.NoError(t, err)
	defer connected.Close()
	opts := client.Options{HostPort: "127.0.0.1:1", Namespace: "default"}
	wanted := map[string]enums.IndexedValueType{"TollgateState": enums.INDEXED_VALUE_TYPE_KEYWORD}
	require.ErrorContains(t, EnsureSearchAttributes(t.Context(), connected, opts, wanted), "look for the search attributes of runs: Temporal at 127.0.0.1:1")
}
