package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

func newLogs(g *global) *cobra.Command {
	request := status.LogRequest{Tail: -1}
	var since time.Duration
	c := &cobra.Command{
		Use:   "logs [NAMESPACE/]POD",
		Short: "Print the log of a pod's container",
		Long: `Print the log of a pod's container: an app container, an init container or one that podyard debug has added. The
beginning of the pod's name is enough if only one pod has it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client := g.client()
			var err error
			if request.Namespace, request.Pod, err = findPod(c.Context(), client, request.Namespace, args[0]); err != nil {
				return err
			}
			if since > 0 {
				request.Since = time.Now().Add(-since)
			}
			return client.Logs(c.Context(), request, c.OutOrStdout())
		},
	}
	flags := c.Flags()
	flags.StringVarP(&request.Namespace, "namespace", "n", "", "namespace of the pod")
	flags.StringVarP(&request.Container, "container", "c", "", "container, if the pod has several")
	flags.BoolVarP(&request.Follow, "follow", "f", false, "go on until the container ends")
	flags.BoolVarP(&request.Previous, "previous", "p", false, "the log of the container before its last restart")
	flags.BoolVar(&request.Timestamps, "timestamps", false, "begin each line with its time")
	flags.IntVar(&request.Tail, "tail", -1, "number of last lines; -1 for all")
	flags.DurationVar(&since, "since", 0, "only what is younger, as 10m")
	return c
}

// findPod completes namespace and name: exactly so, or the one pod whose name begins so.
func findPod(ctx context.Context, client *status.Client, namespace, name string) (string, string, error) {
	if before, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = before, rest
	}
	snapshot, err := client.Snapshot(ctx)
	if err != nil {
		return "", "", err
	}
	var found []string
	for _, pod := range snapshot.Pods {
		if namespace != "" && pod.Namespace != namespace {
			continue
		}
		if pod.Name == name {
			return pod.Namespace, pod.Name, nil
		}
		if strings.HasPrefix(pod.Name, name) {
			found = append(found, pod.Namespace+"/"+pod.Name)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", "", fmt.Errorf("no pod %s; podyard status lists the pods", name)
	case 1:
		namespace, name, _ = strings.Cut(found[0], "/")
		return namespace, name, nil
	default:
		return "", "", fmt.Errorf("%d pods begin with %s, say which: %s", len(found), name, strings.Join(found, ", "))
	}
}
