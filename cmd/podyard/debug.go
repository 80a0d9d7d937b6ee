package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/podyard/podyard/status"
)

func newDebug(g *global) *cobra.Command {
	var target target
	var session session
	var request status.DebugRequest
	c := &cobra.Command{
		Use:   "debug [NAMESPACE/]POD --image IMAGE [-- COMMAND [ARGS…]]",
		Short: "Add a container with tools of your choice to a running pod",
		Long: `Add an ephemeral container to a running pod: it shares the pod's network and, with --target, sees the processes of one
of its containers, so that an image without a shell can be looked into. With -i, podyard debug is attached to it, and the
container ends with podyard debug. The container stays in the pod, for its log, until the pod goes.`,
		Example: `  podyard debug -it web-5d4f8-2m7rt --image busybox:1.37 --target web
  podyard debug web-5d4f8-2m7rt --image nicolaka/netshoot -c sniffer -- tcpdump -c 100`,
		Args: func(c *cobra.Command, args []string) error {
			if dash := c.ArgsLenAtDash(); len(args) == 0 || dash == 0 || dash > 1 || dash < 0 && len(args) > 1 {
				return fmt.Errorf("want one pod, and -- before a command, as in: podyard debug web-0 --image busybox -- ip route")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			client := g.client()
			name, err := target.find(c.Context(), client, args[0])
			if err != nil {
				return err
			}
			if name.Container == "" {
				name.Container = "debugger-" + rand.String(5)
				fmt.Fprintf(c.ErrOrStderr(), "Defaulting debug container name to %s.\n", name.Container)
			}
			request.ContainerName, request.Command, request.Stdin = name, args[1:], session.stdin
			request.TTY = session.terminal(c)
			if request.Target != "" {
				fmt.Fprintf(c.ErrOrStderr(), "Targeting container %q.\n", request.Target)
			}
			if err := client.Debug(c.Context(), request); err != nil || !session.stdin {
				return err
			}
			return session.attach(c, client, status.AttachRequest{ContainerName: name, Stdin: true, Logs: true})
		},
	}
	target.flags(c)
	session.flags(c)
	c.Flags().Lookup("container").Usage = "name of the new container (default: debugger- and five letters)"
	c.Flags().StringVar(&request.Image, "image", "", "image of the new container")
	c.Flags().StringVar(&request.Target, "target", "", "container whose processes the new one is to see")
	if err := c.MarkFlagRequired("image"); err != nil {
		panic(err) // the line above makes it
	}
	return c
}
