package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// What the demo does to the engine by itself, as a person at the docker command line would.

func dockerClient() (*client.Client, error) {
	return client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
}

// tagImage gives the infra image, which is this program, a name for manifests.
func (d *demo) tagImage(ctx context.Context) error {
	cli, err := dockerClient()
	if err != nil {
		return err
	}
	defer cli.Close()
	if err := cli.ImageTag(ctx, d.engine.InfraImage(), demoImage); err != nil {
		return fmt.Errorf("tag image: %w", err)
	}
	return nil
}

func (d *demo) untagImage(ctx context.Context) error {
	cli, err := dockerClient()
	if err != nil {
		return err
	}
	defer cli.Close()
	if _, err := cli.ImageRemove(ctx, demoImage, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image tag: %w", err)
	}
	return nil
}

// killContainer kills the container of a pod.
func (d *demo) killContainer(ctx context.Context, pod string) error {
	cli, err := dockerClient()
	if err != nil {
		return err
	}
	defer cli.Close()
	list, err := cli.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", "podyard.dev/instance="+demoInstance),
		filters.Arg("label", "io.kubernetes.pod.name="+pod),
		filters.Arg("label", "io.kubernetes.container.name=main"),
	)})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if len(list) == 0 {
		return fmt.Errorf("no container of pod %s runs", pod)
	}
	if err := cli.ContainerKill(ctx, list[0].ID, "KILL"); err != nil {
		return fmt.Errorf("kill container: %w", err)
	}
	return nil
}
