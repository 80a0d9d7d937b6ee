package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podyard/podyard/deploy"
	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime/fake"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

// programs are the images of the engine in memory.
var programs = map[string]fake.Program{
	"app:1":     {Local: true},
	"prepare:1": {Local: true, ExitAfter: time.Millisecond, Output: []fake.Line{{Text: "prepared"}}},
	"serve:1":   {Local: true, Output: []fake.Line{{Text: "serving"}}},
	"copy:1":    {Local: true, Copies: true},
	"tools:1":   {Local: true, ExitAfter: 50 * time.Millisecond, ExitCode: 3, Output: []fake.Line{{Text: "looked into"}}},
}

// inMemory is podyard run with an engine in memory: podyard-in-memory DIRECTORY DATA.
func inMemory() {
	if err := runInMemory(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "podyard-in-memory:", err)
		os.Exit(1)
	}
}

func runInMemory(directory, data string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	engine := fake.New(fake.Options{Images: programs})
	if err := engine.Ensure(ctx, nil); err != nil {
		return err
	}
	source, err := sources.Open(data, sources.Options{URL: directory})
	if err != nil {
		return err
	}
	store, err := history.Open(filepath.Join(data, "history.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	deployer := deploy.New(deploy.Options{
		Name: "default", Path: ".", Interval: time.Hour, Source: source, Store: store, Runtime: engine,
		Renderer: manifests.NewRenderer(manifests.RendererOptions{}), Log: slog.New(slog.DiscardHandler), Version: "v0", Stop: stop,
	})
	control, err := listenSocket(filepath.Join(data, "podyard.sock"))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	serveHTTP(ctx, group, control, status.NewControl(deployer, deployer))
	group.Go(func() error { return deployer.Run(ctx) })
	return group.Wait()
}
