package payloadcodec

import (
	"context"
	"errors"

	common "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// Apply sets both converters of a client's options: payloads are encrypted, and
// with them the messages and stack traces of failures, which the SDK would leave
// in clear.
func (r *Keyring) Apply(opts *client.Options) {
	opts.DataConverter = r.DataConverter()
	opts.FailureConverter = r.FailureConverter()
}

// DataConverter is Temporal's default one with the codec behind it.
func (r *Keyring) DataConverter() converter.DataConverter {
	return &dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), r.Codec())}
}

// FailureConverter encrypts the messages and stack traces of failures. Their types
// stay in clear: the server decides by them whether to try again.
func (r *Keyring) FailureConverter() converter.FailureConverter {
	return temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter:          r.DataConverter(),
		EncodeCommonAttributes: true,
	})
}

// PlainError is a payload that is not encrypted. Whoever may write to a namespace
// could else start a run or approve its charges without any key.
type PlainError struct{}

func (*PlainError) Error() string {
	return "a payload is not encrypted, and only encrypted ones are taken: send it with 'starter', " +
		"or have Temporal's CLI encrypt it (--codec-endpoint, see 'starter codec-server')"
}

// EncodedFailure is what the SDK writes in the place of an encrypted message.
const EncodedFailure = "Encoded failure"

// Unreadable reports whether an error is of a payload that our keys do not open, or
// is itself encrypted with a key that we do not have.
func Unreadable(err error) bool {
	var key *KeyError
	var failed *temporal.ApplicationError
	return errors.As(err, &key) || errors.As(err, &failed) && failed.Message() == EncodedFailure
}

// dataConverter takes encrypted payloads alone, and knows when it works for a workflow.
type dataConverter struct{ converter.DataConverter }

func (d *dataConverter) FromPayload(payload *common.Payload, into any) error {
	if !sealed(payload) {
		return &PlainError{}
	}
	return d.DataConverter.FromPayload(payload, into)
}

func (d *dataConverter) FromPayloads(payloads *common.Payloads, into ...any) error {
	for _, payload := range payloads.GetPayloads() {
		if !sealed(payload) {
			return &PlainError{}
		}
	}
	return d.DataConverter.FromPayloads(payloads, into...)
}

func sealed(payload *common.Payload) bool {
	return payload == nil || string(payload.GetMetadata()[converter.MetadataEncoding]) == Encoding
}

// WithContext leaves clients and activities what they had: to them a payload that
// does not open is an error like others.
func (d *dataConverter) WithContext(context.Context) converter.DataConverter { return d }

// WithWorkflowContext makes a missing key fail the workflow task and not the
// workflow. An error would be taken by the SDK for the result of the run, and by
// workflow code for that of an activity: a worker that was started with the wrong
// key would end every run that it touches.
func (d *dataConverter) WithWorkflowContext(converter.WorkflowContext) converter.DataConverter {
	return workflowConverter{d}
}

type workflowConverter struct{ *dataConverter }

func (w workflowConverter) FromPayload(payload *common.Payload, into any) error {
	return holdTask(w.dataConverter.FromPayload(payload, into))
}

func (w workflowConverter) FromPayloads(payloads *common.Payloads, into ...any) error {
	return holdTask(w.dataConverter.FromPayloads(payloads, into...))
}

// holdTask panics where a key is missing: to a worker with the default panic
// policy that means that the task cannot be worked on here and now. A plain payload
// is an error for good, whatever keys there are.
func holdTask(err error) error {
	var key *KeyError
	if errors.As(err, &key) {
		panic(key)
	}
	return err
}
