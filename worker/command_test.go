package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestWorker_TellsBadFlagsInOneLineAndStartsNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, want string }{
		"a flag that does not exist":       {"--proxy x", "unknown flag: --proxy; see 'worker --help'"},
		"an argument":                      {"now", `"now" is not a command or an argument of 'worker'; see 'worker --help'`},
		"no activities":                    {"--max-concurrent-activities 0", "--max-concurrent-activities is 0: it must be from 1 to 10000"},
		"too many activities":              {"--max-concurrent-activities 10001", "--max-concurrent-activities is 10001: it must be from 1 to 10000"},
		"activities that are not a number": {"--max-concurrent-activities many", `invalid argument "many" for "--max-concurrent-activities" flag: strconv.ParseInt: parsing "many": invalid syntax; see 'worker --help'`},
		"a duration without a unit":        {"--stop-timeout 40", `invalid argument "40" for "--stop-timeout" flag: time: missing unit in duration "40"; see 'worker --help'`},
		"less than no activity":            {"--activities-per-second -1", "--activities-per-second is -1: it must be above zero, or zero for no limit"},
		"a stop without patience":          {"--stop-timeout 0s", "--stop-timeout is 0s: it must be longer than zero, such as 40s"},
		"a stop that cuts charges off":     {"--stop-timeout 45s --upstream-timeout 60s", "--stop-timeout is 45s: a charge under way may take 1m2s (--upstream-timeout and --contention-wait), and one that is cut off has to be proved later; give that much at least"},
		"an unknown log format":            {"--log-format xml", `--log-format is "xml": it must be text or json`},
		"an unknown log level":             {"--log-level loud", `--log-level is "loud": it must be debug, info, warn or error`},
		"half of another proxy":            {"--control-url http://proxy:8788", "--control-url names another proxy's control plane: give its data plane too, with --proxy-url"},
		"two proxies":                      {"--proxy-url http://proxy:8787 --stripe-secret-file stripe.key", "--stripe-secret-file is for the proxy inside the worker, and --proxy-url names another: give one of them"},
		"two ledgers":                      {"--proxy-url http://proxy:8787 --ledger-url-file url", "--ledger-url-file is for the proxy inside the worker, and --proxy-url names another: give one of them"},
		"half of a deployment":             {"--deployment-name tollgate", "--deployment-name and --build-id go together: give both, or neither"},
		"a deployment that none can have":  {"--deployment-name a.b --build-id 1", `--deployment-name is "a.b": Temporal takes no '.' in it`},
		"an argument to replay":            {"replay now", `"now" is not a command or an argument of 'worker replay'; see 'worker replay --help'`},
		"an argument to health":            {"health now", `"now" is not a command or an argument of 'worker health'; see 'worker health --help'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			state := filepath.Join(b.dir, "state")
			args := strings.Fields(test.args)
			if strings.HasPrefix(args[0], "--") || args[0] == "now" {
				args = append([]string{"--state-dir", state}, args...)
			}
			require.Equal(t, exitUsage, b.run(t.Context(), args))
			require.Equal(t, "worker: "+test.want, b.errorLine(t))
			require.NoDirExists(t, state)
			require.Empty(t, b.stdout.String())
		})
	}
}

func TestWorker_StopsNoSoonerThanAChargeMayTake(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]time.Duration{
		"":                                       40 * time.Second,
		"--upstream-timeout 10s":                 40 * time.Second,
		"--upstream-timeout 60s":                 67 * time.Second,
		"--contention-wait 20s":                  55 * time.Second,
		"--stop-timeout 32s":                     32 * time.Second,
		"--stop-timeout 1s --proxy-url http://p": time.Second, // whose timeouts are not known here
	} {
		var f flags
		set := pflag.NewFlagSet("worker", pflag.ContinueOnError)
		f.bind(set)
		require.NoError(t, set.Parse(strings.Fields(args)))
		cfg, err := f.config(set, setup(t).program)
		require.NoError(t, err, args)
		require.Equal(t, want, cfg.StopTimeout, args)
	}
}

func TestWorker_TakesDownWhatItStartedWhenTemporalIsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, exitError, b.run(t.Context(), b.embedded(t)))

	require.Equal(t, "worker: no Temporal server answers at "+nobody+" (dial tcp "+nobody+": connect: connection refused): start one with 'temporal server start-dev', or set TEMPORAL_ADDRESS", b.errorLine(t))
	require.Empty(t, b.stdout.String(), "it was never ready")
	require.NoFileExists(t, filepath.Join(b.dir, "state", "ledger.db"), "no ledger was opened, and nothing was looked up or sent for it")
}

func TestWorker_RefusesTemporalSettingsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env["TEMPORAL_CONFIG_FILE"] = b.file(t, "broken.toml", "[profile\n= what")
	require.Equal(t, exitError, b.run(t.Context(), b.embedded(t)))
	require.Contains(t, b.errorLine(t), "worker: cannot use the Temporal connection settings: ")
	require.NoDirExists(t, filepath.Join(b.dir, "state"))
}

func TestWorker_TellsThatItsPortIsTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	taken := listen(t, "127.0.0.1:0").Addr().String()
	require.Equal(t, exitError, b.run(t.Context(), b.embedded(t, "--data-addr", taken)))
	require.Contains(t, b.errorLine(t), taken)
	require.Contains(t, b.errorLine(t), "address already in use")
	require.Contains(t, b.errorLine(t), "--data-addr")
	require.Empty(t, b.stdout.String())
}

func TestWorker_TellsThatTheVendorsSecretIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	args := b.embedded(t)
	absent := filepath.Join(b.dir, "stripe.key")
	require.NoError(t, os.Remove(absent))
	require.Equal(t, exitError, b.run(t.Context(), args))
	require.Contains(t, b.errorLine(t), absent)
	require.NoDirExists(t, filepath.Join(b.dir, "state"))
}

func TestWorker_ChecksAProxyElsewhereBeforeItPolls(t *testing.T) {
	t.Parallel()
	another := server(t, http.StatusNotFound, "404 page not found")
	strict := readyServer(t, http.StatusUnauthorized, `{"code":"admin_key_rejected","message":"wrong admin key"}`)
	closing := server(t, http.StatusServiceUnavailable, `{"code":"ledger_unavailable","message":"the ledger cannot be opened"}`)
	for name, test := range map[string]struct{ url, want string }{
		"nothing listens":          {"http://" + nobody, "no vault proxy answers at http://" + nobody + " (connect: connection refused): start it first, or check --control-url"},
		"something else listens":   {another, "what answers at " + another + " is not a vault proxy's control plane (HTTP 404): check --control-url"},
		"it refuses the admin key": {strict, "the vault proxy at " + strict + " refused the admin key: give the one it was started with, by --admin-key-file or TOLLGATE_ADMIN_KEY"},
		"it is not ready":          {closing, "the vault proxy at " + closing + " is not ready: the ledger cannot be opened (ledger_unavailable)"},
		"its URL is none":          {"proxy:8787", "the vault proxy's control URL must look like http://127.0.0.1:8787"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			code := b.run(t.Context(), []string{"--proxy-url", test.url, "--admin-key-file", b.file(t, "admin.key", "admin_test")})
			require.Equal(t, exitError, code)
			require.Equal(t, "worker: "+test.want, b.errorLine(t))
			require.Empty(t, b.stdout.String())
		})
	}
}

func TestNewLogger_WritesWhatTheFlagsAsk(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"text": `level=WARN msg=stopping calls=3\n$`,
		"json": `"level":"WARN","msg":"stopping","calls":3}\n$`,
	} {
		out := newOutput()
		logger, err := newLogger(out, format, "warn")
		require.NoError(t, err)
		logger.Info("starting")
		logger.Warn("stopping", "calls", 3)
		require.Regexp(t, want, out.String())
		require.NotContains(t, out.String(), "starting")
	}
}

func TestWorker_NeedsAKeyOfYourOwnForATemporalElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.env["TEMPORAL_ADDRESS"] = "temporal.internal:7233"
	require.Equal(t, exitError, b.run(t.Context(), b.embedded(t)))
	require.Contains(t, b.errorLine(t), "worker: the Temporal server at temporal.internal:7233 is not on this machine, so payloads must be encrypted with a key of your own: ")
	require.NoDirExists(t, filepath.Join(b.dir, "state"))
}
