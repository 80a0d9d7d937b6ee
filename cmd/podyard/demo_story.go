package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/podyard/podyard/cmd/podyard/hello"
	"github.com/podyard/podyard/status"
)

// chapter is one part of the story of demo --once.
type chapter struct {
	title string
	tell  func(context.Context) error
	// mayFail: somebody kills a container under load; the request it was answering is lost.
	mayFail bool
}

// chapterResult is one line of the timeline.
type chapterResult struct {
	title            string
	took             time.Duration
	requests, failed int
}

// tallyEvery is a little more than the pause between two lines of the visitor.
const tallyEvery = 1200 * time.Millisecond

// story tells everything from the first deployment to a container killed by hand.
func (d *demo) story(ctx context.Context, page string) error {
	d.say("status page at http://%s", page)
	address, err := d.shopAddress(ctx)
	if err != nil {
		return err
	}
	d.say("the shop at http://%s", address)
	chapters := []chapter{
		{"deploy the first version", d.waitFor("1"), false},
		{"push a second version under load", d.change("Second version", "--version=1", "--version=2", "2"), false},
		{"push a broken version: it is rolled back", d.breakIt, false},
		{"revert it in git, too", d.revert, false},
		{"kill a container behind its back: it comes back", d.kill, true},
	}
	var results []chapterResult
	before := hello.Tally{}
	for _, c := range chapters {
		d.say("%s …", c.title)
		begin := time.Now()
		if err := c.tell(ctx); err != nil {
			return fmt.Errorf("%s: %w", c.title, err)
		}
		took := time.Since(begin)
		time.Sleep(tallyEvery) // so that the next line tells of all of it
		after, err := d.tally(ctx)
		if err != nil {
			return err
		}
		r := chapterResult{c.title, took, after.Requests - before.Requests, after.Failed - before.Failed}
		results = append(results, r)
		before = after
		if r.failed > 0 && !c.mayFail {
			return fmt.Errorf("%s: %d of %d requests failed: %s", c.title, r.failed, r.requests, after.LastError)
		}
	}
	d.timeline(results)
	return nil
}

func (d *demo) timeline(results []chapterResult) {
	fmt.Fprintf(d.out, "\n%-50s %8s %9s %7s\n", "", "took", "requests", "failed")
	for _, r := range results {
		fmt.Fprintf(d.out, "%-50s %7.2fs %9d %7d\n", r.title, r.took.Seconds(), r.requests, r.failed)
	}
	fmt.Fprintln(d.out)
}

// waitFor waits until the newest commit is ready and the visitor is answered by a version, and by no other.
func (d *demo) waitFor(version string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := d.await(ctx, "every object to be ready", func(s status.Snapshot) bool {
			return len(s.Revisions) > 0 && s.Revisions[0].Outcome == status.Succeeded && s.Revisions[0].Current
		}); err != nil {
			return err
		}
		return d.awaitAnswers(ctx, version)
	}
}

// awaitAnswers waits until the last second's answers all came from one version.
func (d *demo) awaitAnswers(ctx context.Context, version string) error {
	return poll(ctx, "answers of version "+version, func() (bool, error) {
		t, err := d.tally(ctx)
		return err == nil && len(t.Versions) == 1 && t.Versions[version] > 0, nil
	})
}

func (d *demo) change(subject, from, to, version string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := d.edit("web.yaml", from, to); err != nil {
			return err
		}
		if err := d.commit(ctx, subject); err != nil {
			return err
		}
		if err := d.awaitRevision(ctx, subject); err != nil {
			return err
		}
		return d.waitFor(version)(ctx)
	}
}

func (d *demo) breakIt(ctx context.Context) error {
	if err := d.edit("web.yaml", "--version=2", "--version=3, --broken"); err != nil {
		return err
	}
	if err := d.commit(ctx, "Break it"); err != nil {
		return err
	}
	if err := d.await(ctx, "the broken version to be rolled back", func(s status.Snapshot) bool {
		return len(s.Revisions) > 1 && s.Revisions[1].Commit.Subject == "Break it" && s.Revisions[1].Outcome == status.RolledBack &&
			s.Revisions[0].Outcome == status.Succeeded
	}); err != nil {
		return err
	}
	return d.awaitAnswers(ctx, "2")
}

func (d *demo) revert(ctx context.Context) error {
	if err := d.git(ctx, d.path("shop"), "revert", "--no-edit", "HEAD"); err != nil {
		return err
	}
	if err := d.push(ctx); err != nil {
		return err
	}
	if err := d.awaitRevision(ctx, "Revert"); err != nil {
		return err
	}
	return d.waitFor("2")(ctx)
}

// kill ends a container of web with the engine's own means, and waits for the next attempt.
func (d *demo) kill(ctx context.Context) error {
	var victim status.Pod
	if err := d.await(ctx, "three ready pods of web", func(s status.Snapshot) bool {
		ready := 0
		for _, p := range s.Pods {
			if strings.HasPrefix(p.Name, "web-") && p.Health == status.Ready {
				victim = p
				ready++
			}
		}
		return ready == 3
	}); err != nil {
		return err
	}
	if err := d.killContainer(ctx, victim.Name); err != nil {
		return err
	}
	d.say("killed the container of pod %s", victim.Name)
	return d.await(ctx, "the container to run again", func(s status.Snapshot) bool {
		for _, p := range s.Pods {
			if p.Name == victim.Name {
				return p.Restarts > victim.Restarts && p.Health == status.Ready
			}
		}
		return false
	})
}

func (d *demo) edit(file, from, to string) error {
	path := d.path("shop/" + file)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644)
}

// awaitRevision waits until the commit with a subject is the newest revision.
func (d *demo) awaitRevision(ctx context.Context, subject string) error {
	return d.await(ctx, "revision "+subject, func(s status.Snapshot) bool {
		return len(s.Revisions) > 0 && strings.HasPrefix(s.Revisions[0].Commit.Subject, subject)
	})
}

func (d *demo) await(ctx context.Context, what string, done func(status.Snapshot) bool) error {
	var last status.Snapshot
	err := poll(ctx, what, func() (bool, error) {
		s, err := d.client.Snapshot(ctx)
		last = s
		return err == nil && done(s), nil
	})
	if err != nil && len(last.Sources) > 0 {
		return fmt.Errorf("%w; the source: %s", err, last.Sources[0].State)
	}
	return err
}

// poll asks every 50 ms for two minutes.
func poll(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if ok, err := done(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tally is the visitor's last line.
func (d *demo) tally(ctx context.Context) (hello.Tally, error) {
	var t hello.Tally
	namespace, pod, err := findPod(ctx, d.client, "shop", "visitor")
	if err != nil {
		return t, err
	}
	request := status.LogRequest{Namespace: namespace, Pod: pod, Tail: 1}
	var line bytes.Buffer
	if err := d.client.Logs(ctx, request, &line); err != nil {
		return t, err
	}
	return t, json.Unmarshal(line.Bytes(), &t)
}
