package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/runtime/docker"
	"github.com/podyard/podyard/status"
)

//go:embed shop
var shop embed.FS

// The demo's own names on the engine.
const (
	demoInstance = "podyard-demo"
	demoImage    = "podyard-hello:demo"
)

func newDemo(g *global) *cobra.Command {
	var once, verbose bool
	listen := "127.0.0.1:8420"
	c := &cobra.Command{
		Use:   "demo",
		Short: "Make a small application in a git repository and deploy it, to try everything by hand",
		Long: `Make a git repository with a small three-tier application (its image is this very program: no registry is needed),
run the daemon on it, and print what to try. Ctrl-C ends it and removes everything.

With --once the demo tells the whole story by itself: it deploys, pushes a second version under load, pushes a broken
version, reverts it, kills a container behind Podyard's back, prints how long each took, and cleans up.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runDemo(c.Context(), demoOptions{once: once, verbose: verbose, listen: listen, out: c.OutOrStdout(), errOut: c.ErrOrStderr()})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "tell the whole story, clean up and exit")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the daemon's log")
	c.Flags().StringVar(&listen, "listen", listen, "address of the status page")
	return c
}

type demoOptions struct {
	once, verbose bool
	listen        string
	out, errOut   io.Writer
}

// demo is a running demonstration.
type demo struct {
	demoOptions
	// dir holds shop.git, the repository that the daemon follows; shop, a clone of it to work in; and data.
	dir    string
	client *status.Client
	engine *docker.Engine
	start  time.Time
}

func runDemo(ctx context.Context, o demoOptions) (err error) {
	if _, err := exec.LookPath("git"); err != nil {
		return errors.New("the demo needs git: install it and try again")
	}
	dir, err := os.MkdirTemp("", "podyard-demo-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	d := &demo{demoOptions: o, dir: dir, start: time.Now()}
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(o.errOut, nil))
	}
	if d.engine, err = docker.New(ctx, docker.Options{Instance: demoInstance, Logger: log}); err != nil {
		return err
	}
	defer d.engine.Close()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.clean()) }()
	return d.run(ctx, log)
}

// prepare makes the image and the repository.
func (d *demo) prepare(ctx context.Context) error {
	d.say("making an image from this program, and a repository")
	if err := d.engine.Ensure(ctx, func(step string) { d.say("  %s", step) }); err != nil {
		return err
	}
	if err := d.tagImage(ctx); err != nil {
		return err
	}
	if err := d.git(ctx, d.dir, "init", "--quiet", "--bare", "--initial-branch=main", "shop.git"); err != nil {
		return err
	}
	if err := d.git(ctx, d.dir, "clone", "--quiet", "shop.git", "shop"); err != nil {
		return err
	}
	tree, err := fs.Sub(shop, "shop")
	if err != nil {
		return err
	}
	if err := os.CopyFS(d.path("shop"), tree); err != nil {
		return fmt.Errorf("write repository: %w", err)
	}
	return d.commit(ctx, "Open the shop")
}

// run starts the daemon beside the story, or beside the person who tries it.
func (d *demo) run(ctx context.Context, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g := &global{dataDir: d.path("data")}
	o := &runOptions{repo: d.path("shop.git"), branch: "main", path: ".", listen: d.listen, instance: demoInstance, interval: time.Minute}
	if d.once {
		o.listen = "127.0.0.1:0"
	}
	d.client = g.client()
	address := make(chan string, 1)
	ended := make(chan error, 1)
	go func() { ended <- runDaemon(ctx, g, o, log, func(a string) { address <- a }) }()
	var err error
	select {
	case err = <-ended:
		return err
	case page := <-address:
		if d.once {
			err = d.story(ctx, page)
		} else {
			if err = d.invite(ctx, page); err == nil {
				<-ctx.Done()
			}
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

func (d *demo) invite(ctx context.Context, page string) error {
	address, err := d.shopAddress(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, `
  status page   http://%s
  the shop      http://%s
  repository    %s

Try, in another terminal:

  alias py='%s --data-dir %s'
  cd %s
  sed -i 's/Welcome/Good morning/' kustomization.yaml && git commit -am "Greet" && git push
  py status                             # three pods of web, replaced one by one
  py logs visitor -f                    # no answer was lost meanwhile
  sed -i 's/--version=1/--version=2, --broken/' web.yaml && git commit -am "Break it" && git push
  py status                             # the old pods serve on, and in the end it is rolled back
  git revert --no-edit HEAD && git push
  py history
  py rollback r1 && py status           # held at r1 until the next commit or: py resume

Ctrl-C ends the demo and removes everything.
`, page, address, d.path("shop"), self(), d.path("data"), d.path("shop"))
	return nil
}

// shopAddress is where the web Service is published on the host, once it is.
func (d *demo) shopAddress(ctx context.Context) (address string, err error) {
	err = d.await(ctx, "the shop to be published", func(s status.Snapshot) bool {
		for _, o := range s.Objects {
			if o.Kind != "Service" || o.Name != "web" {
				continue
			}
			if port, _, ok := strings.Cut(strings.TrimPrefix(o.Summary["published"], "0.0.0.0:"), " "); ok {
				address = "127.0.0.1:" + port
			}
		}
		return address != ""
	})
	return address, err
}

// self is this program, also when go run built it for the moment.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "podyard"
	}
	return path
}

// clean removes everything, also after Ctrl-C.
func (d *demo) clean() error {
	d.say("cleaning up")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(d.untagImage(ctx), d.engine.Teardown(ctx, true, func(string) {}))
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%7.2fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// commit commits the work tree and pushes it.
func (d *demo) commit(ctx context.Context, subject string) error {
	if err := d.git(ctx, d.path("shop"), "add", "--all"); err != nil {
		return err
	}
	if err := d.git(ctx, d.path("shop"), "commit", "--quiet", "--message", subject); err != nil {
		return err
	}
	return d.push(ctx)
}

func (d *demo) push(ctx context.Context) error {
	return d.git(ctx, d.path("shop"), "push", "--quiet", "origin", "HEAD:main")
}

// git runs git as somebody, whatever this machine's configuration is.
func (d *demo) git(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Podyard demo", "GIT_AUTHOR_EMAIL=demo@podyard.dev",
		"GIT_COMMITTER_NAME=Podyard demo", "GIT_COMMITTER_EMAIL=demo@podyard.dev")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}
