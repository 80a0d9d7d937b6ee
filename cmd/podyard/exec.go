package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newExec(g *global) *cobra.Command {
	var target target
	var session session
	c := &cobra.Command{
		Use:   "exec [NAMESPACE/]POD -- COMMAND [ARGS…]",
		Short: "Run a command in a container",
		Long: `Run a command in a container of a pod and end with its exit code. The beginning of the pod's name is enough if only
one pod has it. When podyard exec is interrupted, the command and what it has started are killed.`,
		Example: `  podyard exec web-5d4f8-2m7rt -- ls /config
  podyard exec -it db-0 -c postgres -- psql -U shop
  podyard exec -i db-0 -- psql -U shop <dump.sql`,
		Args: podAndCommand,
		RunE: func(c *cobra.Command, args []string) error {
			client := g.client()
			name, err := target.find(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			request := status.ExecRequest{ContainerName: name, Command: args[1:], Stdin: session.stdin}
			return session.run(c, func(streams status.Streams, tty bool) (int, error) {
				request.TTY = tty
				return client.Exec(c.Context(), request, streams)
			})
		},
	}
	target.flags(c)
	session.flags(c)
	return c
}

// podAndCommand wants a pod, and after -- a command.
func podAndCommand(c *cobra.Command, args []string) error {
	switch dash := c.ArgsLenAtDash(); {
	case dash < 0 && len(args) > 1:
		return errors.New("put -- before the command, as in: podyard exec web-0 -- ls -l")
	case len(args) == 0 || dash == 0:
		return errors.New("say in which pod, as in: podyard exec web-0 -- ls -l")
	case dash > 1:
		return errors.New("want one pod before --")
	case len(args) == 1:
		return errors.New("say what to run, as in: podyard exec web-0 -- ls -l")
	}
	return nil
}
