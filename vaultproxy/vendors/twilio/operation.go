package twilio

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/vaultproxy/vendors"
)

// Names of the metered operations.
const (
	messageCreate = "messages.create"
	callCreate    = "calls.create"
	verifyStart   = "verifications.start"
	read          = "read"
)

const (
	accountsPrefix = "/2010-04-01/Accounts/"
	verifyPrefix   = "/v2/Services/"
)

// operation is one request that the profile understands. In its segments,
// {AccountSid} stands for the bound account, and {Sid:SM} for an identifier that
// begins with SM.
type operation struct {
	name     string
	method   string
	segments []string
	names    vendors.Names
}

// page are the parameters of all lists.
func page(names vendors.Names) vendors.Names {
	names["PageSize"], names["Page"], names["PageToken"] = 1, 1, 1
	return names
}

func operations() []operation {
	account := func(rest ...string) []string {
		return append([]string{"2010-04-01", "Accounts", "{AccountSid}"}, rest...)
	}
	verify := []string{"v2", "Services", "{ServiceSid:VA}", "Verifications"}
	return []operation{
		{messageCreate, http.MethodPost, account("Messages.json"), vendors.Names{
			"To": 1, "From": 1, "MessagingServiceSid": 1, "Body": 1, "MediaUrl": 10, "StatusCallback": 1,
			"SmartEncoded": 1, "ValidityPeriod": 1, "ProvideFeedback": 1, "Attempt": 1, "ForceDelivery": 1,
		}},
		{callCreate, http.MethodPost, account("Calls.json"), vendors.Names{
			"To": 1, "From": 1, "Url": 1, "Method": 1, "Twiml": 1, "TimeLimit": 1, "Timeout": 1, "SendDigits": 1,
			"StatusCallback": 1, "StatusCallbackMethod": 1, "StatusCallbackEvent": 4,
		}},
		{verifyStart, http.MethodPost, verify, vendors.Names{
			"To": 1, "Channel": 1, "Locale": 1, "CustomCode": 1, "AppHash": 1,
		}},
		{read, http.MethodGet, account("Messages.json"), page(vendors.Names{
			"To": 1, "From": 1, "DateSent": 1, "DateSent<": 1, "DateSent>": 1,
		})},
		{read, http.MethodGet, account("Messages", "{Sid:SM}.json"), nil},
		{read, http.MethodGet, account("Messages", "{Sid:MM}.json"), nil},
		{read, http.MethodGet, account("Calls.json"), page(vendors.Names{
			"To": 1, "From": 1, "ParentCallSid": 1, "Status": 1, "StartTime": 1, "StartTime<": 1, "StartTime>": 1,
			"EndTime": 1, "EndTime<": 1, "EndTime>": 1,
		})},
		{read, http.MethodGet, account("Calls", "{Sid:CA}.json"), nil},
		{read, http.MethodGet, append(slices.Clone(verify), "{Sid:VE}"), nil},
	}
}

// refusedNames are parameters with a meaning that the profile knows and refuses.
func refusedNames() map[string]vendors.Refusal {
	out := map[string]vendors.Refusal{}
	add := func(code, why string, names ...string) {
		for _, name := range names {
			out[name] = vendors.Refusal{Code: code, Param: name, Message: name + " " + why}
		}
	}
	add(vendors.ScopeDenied, "has Twilio call an address that this proxy's operator has not allowed",
		"ApplicationSid", "FallbackUrl", "FallbackMethod", "RecordingStatusCallback", "RecordingStatusCallbackMethod",
		"RecordingStatusCallbackEvent", "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod", "ClientNotificationUrl")
	add(vendors.Unmetered, "makes the text one that the proxy does not see, so its length and price are not known",
		"ContentSid", "ContentVariables", "PersistentAction", "ShortenUrls", "TemplateSid", "TemplateCustomSubstitutions",
		"Templates", "CustomMessage", "CustomFriendlyName")
	add(vendors.Unmetered, "changes what is charged, in a way that the rate card has no price for",
		"SendAsMms", "FallbackFrom", "TrafficType", "RiskCheck", "Record", "RecordingChannels", "RecordingTrack", "RecordingConfigurationId",
		"Trim", "MachineDetection", "AsyncAmd", "CallReason", "Byoc", "ChannelConfiguration")
	add(vendors.Unmetered, "has it sent later, when nobody watches its price", "SendAt", "ScheduleType")
	add(vendors.Unmetered, "keeps the text out of Twilio's list, by which a lost answer is looked up",
		"ContentRetention", "AddressRetention")
	return out
}

// find returns the operation of a request, and its path with the bound account in it.
func (p *Profile) find(method, path string) (operation, string, error) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, op := range operations() {
		if op.method == method && op.matches(segments) {
			return p.bind(op, segments)
		}
	}
	return operation{}, "", refuse(vendors.Unmetered, "",
		"Tollgate does not meter this Twilio operation, so it is not passed on; metered are messages, calls and verifications, with reads of those")
}

func (op operation) matches(segments []string) bool {
	if len(segments) != len(op.segments) {
		return false
	}
	for i, want := range op.segments {
		rest, isID := strings.CutPrefix(want, "{")
		if !isID {
			if want != segments[i] {
				return false
			}
			continue
		}
		spec, suffix, _ := strings.Cut(rest, "}")
		_, prefix, typed := strings.Cut(spec, ":")
		id, ok := strings.CutSuffix(segments[i], suffix)
		if typed && (!ok || !isSID(id, prefix)) {
			return false
		}
	}
	return true
}

// bind puts the real account into the path, where the account or its placeholder is.
func (p *Profile) bind(op operation, segments []string) (operation, string, error) {
	bound := slices.Clone(segments)
	if i := slices.Index(op.segments, "{AccountSid}"); i >= 0 {
		if bound[i] != p.account && bound[i] != Placeholder {
			return operation{}, "", refuse(vendors.ScopeDenied, "",
				"the path names another Twilio account than the one that this proxy is bound to; %s stands for that one", Placeholder)
		}
		bound[i] = p.account
	}
	return op, "/" + strings.Join(bound, "/"), nil
}

func (op operation) template() string {
	out := make([]string, len(op.segments))
	for i, segment := range op.segments {
		out[i] = segment
		if spec, _, isID := strings.Cut(segment, "}"); isID {
			name, _, _ := strings.Cut(spec, ":")
			out[i] = name + "}"
		}
	}
	return "/" + strings.Join(out, "/")
}
