package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podyard/podyard/deploy"
	"github.com/podyard/podyard/history"
	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime/docker"
	"github.com/podyard/podyard/sources"
	"github.com/podyard/podyard/status"
)

// runOptions are the flags of run.
type runOptions struct {
	repo, branch, path, listen string
	instance, network          string
	interval                   time.Duration
	nodeLabels                 map[string]string
	externalIPs                []string
	podPidsLimit               int64
	seccompProfileRoot         string
	ingress                    ingressOptions
	guard                      guardOptions
	verbose                    bool
}

func newRun(g *global) *cobra.Command {
	o := &runOptions{}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: watch a repository and make the engine run what it says",
		Example: `  podyard run --repo https://github.com/example/shop --branch main --path deploy/production
  podyard run --repo ./shop`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := cmp.Or(checkNodeLabels(o.nodeLabels), checkExternalIPs(o.externalIPs)); err != nil {
				return err
			}
			if err := errors.Join(o.ingress.check(), o.guard.check()); err != nil {
				return err
			}
			log := newLogger(c, o.verbose)
			return runDaemon(c.Context(), g, o, log, func(address string) { fmt.Fprintf(c.OutOrStdout(), "status page: http://%s\n", address) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.repo, "repo", ".", "repository to follow: https://, ssh://, file://, git@host:path, or a local path")
	flags.StringVar(&o.branch, "branch", "", "branch to follow (default: the repository's own)")
	flags.StringVar(&o.path, "path", ".", "directory of the manifests inside the repository")
	flags.DurationVar(&o.interval, "interval", time.Minute, "pause between two polls; local repositories are watched as well")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8420", "address of the status page; empty for none")
	flags.StringVar(&o.instance, "instance", defaultInstance, "name that marks everything this daemon makes on the engine")
	flags.StringVar(&o.network, "pod-network", "", "address range of the pods, as 10.89.0.0/16 (default: the first free one)")
	flags.StringToStringVar(&o.nodeLabels, "node-label", nil, "label of this host for nodeSelector and node affinity, as disk=ssd; may be repeated")
	flags.StringSliceVar(&o.externalIPs, "external-ip", nil, "address at which clients reach this host, shown for Services of type LoadBalancer; may be repeated (default: that of the interface which leads out)")
	flags.Int64Var(&o.podPidsLimit, "pod-pids-limit", 0, "most processes that a container may have; 0 for no limit")
	flags.StringVar(&o.seccompProfileRoot, "seccomp-profile-root", "", "directory of the seccomp profiles of type Localhost (default: seccomp in the data directory)")
	o.ingress.addTo(flags)
	o.guard.addTo(flags)
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "log more")
	return c
}

// checkNodeLabels refuses what no nodeSelector could name, and what the host says of itself.
func checkNodeLabels(given map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		problems := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(given[key])...)
		if slices.Contains([]string{corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable}, key) {
			problems = append(problems, "the host says this of itself")
		}
		if len(problems) > 0 {
			return fmt.Errorf("--node-label %s=%s: %s", key, given[key], strings.Join(problems, "; "))
		}
	}
	return nil
}

func newLogger(c *cobra.Command, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
}

// runDaemon wires the packages in the order in which data flows, and runs until ctx ends. ready hears the page's address.
func runDaemon(ctx context.Context, g *global, o *runOptions, log *slog.Logger, ready func(address string)) error {
	if err := os.MkdirAll(g.dataDir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	source, err := sources.Open(g.dataDir, sources.Options{URL: o.repo, Branch: o.branch})
	if err != nil {
		return err
	}
	store, err := history.Open(filepath.Join(g.dataDir, "history.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	if store.Recovered != "" {
		log.Warn("history started anew", "reason", store.Recovered)
	}
	if err := g.recordInstance(o.instance); err != nil {
		return err
	}
	settings, err := o.ingress.settings()
	if err != nil {
		return err
	}
	engine, err := docker.New(ctx, docker.Options{
		Instance: o.instance, CIDR: o.network, Logger: log, Ingress: settings,
		PidsLimit: o.podPidsLimit, SeccompProfileRoot: cmp.Or(o.seccompProfileRoot, filepath.Join(g.dataDir, "seccomp")),
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := engine.Ensure(ctx, func(step string) { log.Info(step) }); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	deployer := deploy.New(deploy.Options{
		Name: "default", Path: cleanPath(o.path), Branch: o.branch, Interval: o.interval,
		Source: source, Store: store, Runtime: engine, NodeLabels: o.nodeLabels, ExternalIPs: externalIPs(o.externalIPs, os.Getenv("DOCKER_HOST")), Renderer: manifests.NewRenderer(manifests.RendererOptions{}), Log: log,
		HTTPPort: int32(o.ingress.httpPort), HTTPSPort: int32(o.ingress.httpsPort),
		Version: version(), Instance: o.instance, DataDir: g.dataDir, Engine: engine.Version, Gateway: gatewayOf(engine),
		OnFailure: deploy.OnFailure(o.guard.onFailure), MaxDeletions: o.guard.maxDeletions, KeepImages: o.guard.keepImages, Stop: stop,
	})
	log.Info("running", "instance", o.instance, "repository", source.String(), "path", o.path)
	return serve(ctx, g, o, deployer, ready)
}

// gatewayOf tells of the engine's gateway in the words of the status page.
func gatewayOf(engine *docker.Engine) func() status.Gateway {
	return func() status.Gateway {
		hello, err := engine.Gateway()
		if err != nil {
			return status.Gateway{Error: err.Error()}
		}
		return status.Gateway{Backend: hello.Backend, Masquerade: hello.Masquerade, Reason: hello.Reason}
	}
}

func cleanPath(path string) string {
	path = strings.Trim(filepath.ToSlash(path), "/")
	if path == "" {
		return "."
	}
	return path
}

// serve runs the deployer, the control socket and the page until the first of them ends.
func serve(ctx context.Context, g *global, o *runOptions, deployer *deploy.Deployer, ready func(string)) error {
	control, err := listenSocket(g.socket())
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	serveHTTP(ctx, group, control, status.NewControl(deployer, deployer))
	if o.listen != "" {
		page, err := net.Listen("tcp", o.listen)
		if err != nil {
			control.Close()
			return fmt.Errorf("listen for the status page: %w; choose another address with --listen", err)
		}
		host, _, _ := net.SplitHostPort(o.listen)
		serveHTTP(ctx, group, page, status.NewPage(deployer, host))
		ready(page.Addr().String())
	}
	group.Go(func() error { return deployer.Run(ctx) })
	return group.Wait()
}

// listenSocket takes over a socket that a daemon which was killed has left. The data directory's lock, which the history
// holds, has made sure by now that no other daemon is alive.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("protect socket: %w", err)
	}
	return listener, nil
}

// serveHTTP serves until ctx ends, then gives requests a moment to finish.
func serveHTTP(ctx context.Context, group *errgroup.Group, listener net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			return server.Close()
		}
		return nil
	})
}
