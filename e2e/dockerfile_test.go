package e2e_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stage is one FROM of the Dockerfile with what is checked of it.
type stage struct {
	from        string
	user        string
	entrypoint  string
	healthcheck string
	copied      map[string]string // path in the image -> path in the build stage
}

func TestDockerfile_ImagesHoldOneProgramEach(t *testing.T) {
	t.Parallel()

	stages := dockerStages(t)
	built := map[string]string{}
	for _, path := range dockerPackages(t) {
		built[filepath.Base(path)] = path
	}

	for name, path := range built {
		files, err := filepath.Glob(filepath.Join(repository(t), path, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "%s is not a Go package", path)
		parsed, err := parser.ParseFile(token.NewFileSet(), files[0], nil, parser.PackageClauseOnly)
		require.NoError(t, err)
		require.Equal(t, "main", parsed.Name.Name, "%s is not a program", path)

		require.Contains(t, stages, name)
		require.Equal(t, "/"+name, stages[name].entrypoint)
		require.Equal(t, "/out/"+name, stages[name].copied["/"+name])
		require.NotEmpty(t, stages[name].healthcheck, "%s: HEALTHCHECK", name)
		require.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, stages[name].user, "%s: a numeric user that is not root", name)
	}

	require.Equal(t, []string{"base", "build"}, slices.DeleteFunc(slices.Sorted(maps.Keys(stages)), func(s string) bool {
		return built[s] != ""
	}), "every other stage is a program's")
}

func TestDockerfile_BasesArePinned(t *testing.T) {
	t.Parallel()

	stages := dockerStages(t)
	for name, s := range stages {
		if _, earlier := stages[s.from]; earlier || s.from == "scratch" {
			continue
		}
		require.Regexp(t, versioned, s.from, name)
	}

	modfile, err := os.ReadFile(filepath.Join(repository(t), "go.mod"))
	require.NoError(t, err)
	toolchain := regexp.MustCompile(`(?m)^toolchain go(\S+)$`).FindSubmatch(modfile)
	require.NotNil(t, toolchain)
	require.Contains(t, stages["build"].from, "golang:"+string(toolchain[1])+"-", "the image's Go and go.mod's are one")
}

// dockerStages reads the Dockerfile's stages by name. What a stage takes over
// from an earlier one is filled in.
func dockerStages(t *testing.T) map[string]stage {
	t.Helper()

	stages := map[string]stage{}
	name := ""
	for _, words := range dockerInstructions(t) {
		keyword, args := words[0], words[1:]
		if keyword == "FROM" {
			args = slices.DeleteFunc(args, func(s string) bool { return strings.HasPrefix(s, "--") })
			require.Len(t, args, 3, "a stage without a name: %q", words)
			name = args[2]
			s := stages[args[0]]
			s.from, s.copied = args[0], maps.Clone(s.copied)
			stages[name] = s
			continue
		}
		s := stages[name]
		switch keyword {
		case "USER":
			s.user = args[0]
		case "HEALTHCHECK":
			s.healthcheck = strings.Join(args, " ")
		case "ENTRYPOINT":
			var exec []string
			require.NoError(t, json.Unmarshal([]byte(strings.Join(args, " ")), &exec), "ENTRYPOINT needs no shell")
			s.entrypoint = exec[0]
		case "COPY":
			if slices.Contains(args, "--from=build") {
				if s.copied == nil {
					s.copied = map[string]string{}
				}
				s.copied[args[len(args)-1]] = args[len(args)-2]
			}
		}
		stages[name] = s
	}
	return stages
}

// dockerPackages lists the packages of the Dockerfile's go build.
func dockerPackages(t *testing.T) []string {
	t.Helper()

	for _, words := range dockerInstructions(t) {
		at := slices.Index(words, "build")
		if words[0] != "RUN" || at < 1 || words[at-1] != "go" {
			continue
		}
		var packages []string
		for _, word := range words[at:] {
			if strings.HasPrefix(word, "./") {
				packages = append(packages, word)
			}
		}
		return packages
	}
	require.Fail(t, "the Dockerfile has no go build")
	return nil
}

// dockerInstructions splits the Dockerfile into instructions and those into
// words, with continued lines joined and comments left out.
func dockerInstructions(t *testing.T) [][]string {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(repository(t), "Dockerfile"))
	require.NoError(t, err)

	var instructions [][]string
	for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			instructions = append(instructions, words)
		}
	}
	return instructions
}
