package e2e_test

import (
	"bytes"
	"context"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// The set-up of docker-compose.yml is checked without a Docker engine: what the
// file says, what the Dockerfile builds for it, and whether the programs take
// the command lines that it gives them.

// versioned is an image name whose tag begins with at least two numbers, so
// that the same file builds the same thing next year.
var versioned = regexp.MustCompile(`^[^@:]+:v?\d+\.\d+[\w.-]*$`)

func TestCompose_ServicesAreBuiltOrPinned(t *testing.T) {
	t.Parallel()

	stages := dockerStages(t)
	for name, service := range composeServices(t) {
		if service.Build == nil {
			require.Regexp(t, versioned, service.Image, "%s: image", name)
			continue
		}
		require.Equal(t, repository(t), service.Build.Context, "%s: build context", name)
		require.Contains(t, stages, service.Build.Target, "%s: the Dockerfile has no such stage", name)
	}
}

func TestCompose_StartsInOrderOfHealth(t *testing.T) {
	t.Parallel()

	services := composeServices(t)
	for name, service := range services {
		if name != "starter" {
			require.NotNil(t, service.HealthCheck, "%s: healthcheck", name)
			require.NotEmpty(t, service.HealthCheck.Test, "%s: healthcheck", name)
			require.Equal(t, "CMD", service.HealthCheck.Test[0], "%s: the images have no shell", name)
		}
		for dependency, how := range service.DependsOn {
			require.Equal(t, types.ServiceConditionHealthy, how.Condition, "%s waits for %s", name, dependency)
			require.True(t, how.Required, "%s waits for %s", name, dependency)
		}
	}

	everyOther := slices.DeleteFunc(slices.Sorted(maps.Keys(services)), func(s string) bool { return s == "starter" })
	require.Equal(t, everyOther, slices.Sorted(maps.Keys(services["starter"].DependsOn)))
	require.Equal(t, []string{"run"}, services["starter"].Profiles, "up must not start a billing run")
}

func TestCompose_ServicesAreConfined(t *testing.T) {
	t.Parallel()

	stages := dockerStages(t)
	for name, service := range composeServices(t) {
		user := service.User
		if user == "" && service.Build != nil {
			user = stages[service.Build.Target].user
		}
		require.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, user, "%s: a numeric user that is not root", name)
		require.True(t, service.ReadOnly, "%s: read_only", name)
		require.False(t, service.Privileged, "%s: privileged", name)
		require.Equal(t, []string{"ALL"}, service.CapDrop, "%s: cap_drop", name)
		require.Empty(t, service.CapAdd, "%s: cap_add", name)
		require.Contains(t, service.SecurityOpt, "no-new-privileges:true", "%s: security_opt", name)
	}
}

func TestCompose_PublishesOnLoopbackOnly(t *testing.T) {
	t.Parallel()

	published := 0
	for name, service := range composeServices(t) {
		require.Empty(t, service.NetworkMode, "%s: network_mode", name)
		for _, port := range service.Ports {
			published++
			address, err := netip.ParseAddr(port.HostIP)
			require.NoError(t, err, "%s: port %d names no address", name, port.Target)
			require.True(t, address.IsLoopback(), "%s: port %d is published on %s", name, port.Target, address)
		}
	}
	require.Positive(t, published)
}

func TestCompose_VendorIsReachedThroughTheProxyOnly(t *testing.T) {
	t.Parallel()

	project := composeProject(t)
	for _, name := range []string{"worker", "starter"} {
		networks := project.Services[name].Networks
		require.NotEmpty(t, networks, "%s would join the default network", name)
		for network := range networks {
			require.True(t, project.Networks[network].Internal, "%s gets out by the network %s", name, network)
			require.NotContains(t, project.Services["vendorsim"].Networks, network)
		}
	}
}

func TestCompose_SecretsAreFilesOfThoseWhoNeedThem(t *testing.T) {
	t.Parallel()

	project := composeProject(t)
	holders := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		service := project.Services[name]
		for _, secret := range service.Secrets {
			holders[secret.Source] = append(holders[secret.Source], name)
		}
		for variable, value := range service.Environment {
			require.NotRegexp(t, `(?i)secret|password|token|_key$`, variable, "%s: environment", name)
			require.NotNil(t, value, "%s: %s is taken from the environment of whoever starts it", name, variable)
			require.NotRegexp(t, `(?i)\b([sr]k_(live|test|sim)_|re_)`, *value, "%s: %s", name, variable)
		}
	}
	require.Equal(t, map[string][]string{
		"stripe_secret_key":  {"vaultproxy"},
		"resend_api_key":     {"vaultproxy"},
		"twilio_auth_token":  {"vaultproxy"},
		"tollgate_admin_key": {"starter", "vaultproxy", "worker"},
	}, holders)

	for name, secret := range project.Secrets {
		require.Empty(t, secret.Environment, "%s comes from the environment", name)
		require.Empty(t, secret.Content, "%s stands in the file", name)
		require.FileExists(t, secret.File+".example", "%s: make compose-secrets starts from it", name)
	}
}

func TestCompose_SecretScriptMakesWhatIsMissingOnly(t *testing.T) {
	t.Parallel()

	dir := filepath.Join(t.TempDir(), "secrets")
	require.NoError(t, os.Mkdir(dir, 0o755))
	stripe, admin := filepath.Join(dir, "stripe_secret_key"), filepath.Join(dir, "tollgate_admin_key")
	require.NoError(t, os.WriteFile(stripe, []byte("put here by hand"), 0o600))

	script := filepath.Join(repository(t), "scripts", "compose-secrets")
	said, err := exec.CommandContext(t.Context(), script, dir).CombinedOutput()
	require.NoError(t, err, "%s", said)

	kept, err := os.ReadFile(stripe)
	require.NoError(t, err)
	require.Equal(t, "put here by hand", string(kept))

	made, err := os.ReadFile(admin)
	require.NoError(t, err)
	require.Regexp(t, `^[0-9a-f]{64}$`, string(made))
	require.NotContains(t, string(said), string(made), "the key is not shown")

	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "only the directory keeps others out")
}

func TestCompose_CommandLinesAreOnesTheProgramsTake(t *testing.T) {
	t.Parallel()

	programs := buildPrograms(t)
	for name, service := range composeServices(t) {
		if service.Build == nil {
			continue
		}
		target := service.Build.Target
		entrypoint := dockerStages(t)[target].entrypoint
		require.Equal(t, "/"+target, entrypoint, "%s: entrypoint", name)

		require.Empty(t, service.Entrypoint, "%s: the image's own is used", name)
		takes(t, programs[target], service.Command)
		if service.HealthCheck != nil {
			require.Equal(t, entrypoint, service.HealthCheck.Test[1], "%s: healthcheck", name)
			takes(t, programs[target], service.HealthCheck.Test[2:])
		}
	}
}

// takes asks a program for help behind the arguments that it is to be started
// with: all of them are parsed on the way there, and one that it does not know
// ends in an error. A subcommand that does not exist shows in whose help it is.
func takes(t *testing.T, program string, args []string) {
	t.Helper()

	said, err := exec.CommandContext(t.Context(), program, append(slices.Clone(args), "--help")...).CombinedOutput()
	require.NoError(t, err, "%s %q: %s", filepath.Base(program), args, said)

	for _, arg := range args {
		if regexp.MustCompile(`^[a-z]+$`).MatchString(arg) {
			require.Contains(t, string(said), filepath.Base(program)+" "+arg, "%s has no such subcommand", filepath.Base(program))
			return
		}
		if !strings.HasPrefix(arg, "-") {
			return
		}
	}
}

// composeProject loads docker-compose.yml as docker compose does, with every
// profile on and none of the caller's environment. An unknown key is an error.
func composeProject(t *testing.T) *types.Project {
	t.Helper()

	root := repository(t)
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "docker-compose.yml")}},
		Environment: types.Mapping{},
	}, loader.WithProfiles([]string{"*"}), func(o *loader.Options) { o.SetProjectName("tollgate", true) })
	require.NoError(t, err)
	return project
}

func composeServices(t *testing.T) types.Services {
	t.Helper()

	services := composeProject(t).Services
	require.Equal(t, []string{"starter", "temporal", "vaultproxy", "vendorsim", "worker"}, slices.Sorted(maps.Keys(services)))
	return services
}

// buildPrograms builds what the Dockerfile builds and returns where each
// program lies, by name.
func buildPrograms(t *testing.T) map[string]string {
	t.Helper()

	out := t.TempDir()
	packages := dockerPackages(t)
	build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", out + "/"}, packages...)...)
	build.Dir = repository(t)
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", bytes.TrimSpace(said))

	programs := map[string]string{}
	for _, path := range packages {
		name := filepath.Base(path)
		programs[name] = filepath.Join(out, name)
	}
	return programs
}

// repository is the directory of go.mod.
func repository(t *testing.T) string {
	t.Helper()

	root, err := filepath.Abs("..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.mod"))
	return root
}
