package payloadcodec

import (
	"context"

	common "go.temporal.io/api/common/v1"
	"go.temporal.io/api/failure/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/converter"
)

// Clear decrypts a history in place, failures included, so that it can be kept or
// looked through without the keys.
func (r *Keyring) Clear(ctx context.Context, events *history.History) error {
	codec := r.Codec()
	err := proxy.VisitPayloads(ctx, events, proxy.VisitPayloadsOptions{
		Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*common.Payload) ([]*common.Payload, error) {
			return codec.Decode(payloads)
		},
		SkipSearchAttributes: true,
	})
	if err != nil {
		return err
	}
	return proxy.VisitFailures(ctx, events, proxy.VisitFailuresOptions{
		Visitor: func(_ *proxy.VisitFailuresContext, failed *failure.Failure) error {
			converter.DecodeCommonFailureAttributes(converter.GetDefaultDataConverter(), failed)
			failed.EncodedAttributes = nil
			return nil
		},
	})
}
