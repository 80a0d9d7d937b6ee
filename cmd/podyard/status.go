package main

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newStatus(g *global) *cobra.Command {
	var f format
	var namespace string
	c := &cobra.Command{
		Use:   "status [[NAMESPACE/]POD]",
		Short: "Show what runs, whether it is what git says, and if not, why",
		Long: `Show what runs, whether it is what git says, and if not, why. With a pod, show its containers, its conditions and what
happened to it; the beginning of its name is enough if only one pod has it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, out := g.client(), c.OutOrStdout()
			if len(args) == 1 {
				return podStatus(c.Context(), client, namespace, args[0], f, out)
			}
			snapshot, err := client.Snapshot(c.Context())
			if err != nil {
				return err
			}
			return f.write(out, snapshot, func() error { return status.WriteStatus(out, snapshot, time.Now()) })
		},
	}
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the pod")
	f.flag(c)
	return c
}

// podEvents is how many events are shown of a pod.
const podEvents = 20

// podStatus shows one pod.
func podStatus(ctx context.Context, client *status.Client, namespace, name string, f format, out io.Writer) error {
	namespace, name, err := findPod(ctx, client, namespace, name)
	if err != nil {
		return err
	}
	snapshot, err := client.Snapshot(ctx)
	if err != nil {
		return err
	}
	ref := status.Ref{Kind: "Pod", Namespace: namespace, Name: name}
	if snapshot.Events, err = client.Events(ctx, ref, podEvents); err != nil {
		return err
	}
	i := slices.IndexFunc(snapshot.Pods, func(p status.Pod) bool { return p.Ref() == ref })
	if i < 0 { // it went between the two questions
		return status.WritePod(out, snapshot, ref, time.Now())
	}
	return f.write(out, snapshot.Pods[i], func() error { return status.WritePod(out, snapshot, ref, time.Now()) })
}
