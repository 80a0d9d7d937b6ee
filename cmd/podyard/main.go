package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/cmd/podyard/hello"
	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/ingress"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime/docker/publisher"
	"github.com/podyard/podyard/runtime/docker/reaper"
	"github.com/podyard/podyard/runtime/docker/sandbox"
	"github.com/podyard/podyard/runtime/docker/usage"
	"github.com/podyard/podyard/runtime/docker/writer"
)

func main() {
	manifests.RunChildIfAsked()
	if code, ok := inside(os.Args[1:]); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// inside runs what this binary is inside containers; the command line does not know of it.
func inside(args []string) (code int, ok bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case "sandbox":
		return sandbox.Main(args[1:]), true
	case "gateway":
		return gateway.Main(args[1:]), true
	case "publish":
		return publisher.Main(args[1:]), true
	case "ingress":
		return ingress.Main(args[1:]), true
	case "volume-swap":
		return writer.Main(args[1:], os.Stderr), true
	case "volume-touch":
		return writer.Touch(args[1:], os.Stderr), true
	case "volume-usage":
		return usage.Main(args[1:], os.Stdin, os.Stdout, os.Stderr), true
	case "reap":
		return reaper.Main(args[1:], os.Stderr), true
	case "hello":
		return hello.Main(args[1:]), true
	}
	return 0, false
}

// exitCode ends the command with a code and without a word.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// hasChanges is the exit code of plan when there is something to do.
const hasChanges exitCode = 2

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprintln(errOut, "podyard:", err)
		return 1
	}
}

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "podyard",
		Short: "GitOps for Docker hosts: git push deploys Kubernetes manifests, git revert rolls back",
		Long: `Podyard watches a git repository of ordinary Kubernetes manifests and makes a plain Docker engine run them as pods.
git push deploys, git revert rolls back, and every deployed commit stays a revision to return to.

Exit codes: 0 ok, 1 error, 2 from plan when there is something to do; exec, attach and debug end with that of the
command they ran.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVar(&g.dataDir, "data-dir", defaultDataDir(), "directory of the daemon's mirror, history and socket")
	root.AddCommand(
		newRun(g), newRender(g), newPlan(g), newStatus(g), newHistory(g), newShow(g), newDiff(g),
		newRollback(g), newResume(g), newApprove(g), newSync(g), newLogs(g), newExec(g), newAttach(g),
		newDebug(g), newDown(g), newDemo(g),
	)
	return root
}

// version is the module version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(len(s.Value), 12)]
		}
	}
	return "devel"
}
