package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// run executes one command line and returns the process's exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Start billing runs and see what they spent",
		Long: "Start billing runs and see what they spent.\n\n" +
			"Temporal is found by its standard environment variables (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, …);\n" +
			"without them at 127.0.0.1:7233, namespace default.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noArguments,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Sprintf("%v; see '%s --help'", err, cmd.CommandPath()))
	})
	root.AddCommand(p.runCommand(), p.statusCommand(), p.revokeCommand(), p.reportCommand(), p.keysCommand(), p.auditCommand(),
		p.scheduleCommand())

	code, line := exitCode(root.ExecuteContext(ctx))
	if line != "" {
		_, _ = fmt.Fprintln(p.stderr, "starter: "+line)
	}
	return code
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Sprintf("%q is not a command or an argument of '%s'; see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath()))
}

func oneArgumentAtMost(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(fmt.Sprintf("%q is one argument too many; see '%s --help'", args[1], cmd.CommandPath()))
	}
	return nil
}
