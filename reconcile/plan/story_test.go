package plan_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

var update = flag.Bool("update", false, "write what the stories print into their files")

// TestStories runs testdata/*.txtar. A story is prose, commits (YAML files), a script, and what the script prints.
// Commands of a script:
//
//	commit FILE           make a file the desired state; if it is the one before, the sync goes on
//	image REF here|gone|broken [N]|pulling
//	                      the engine has the image, lacks it, its pull has failed N times, just now, or is under way
//	host KEY=VALUE…       the host's labels; "runtime NAME…" are the engine's OCI runtimes, with "devices" it knows CDI; with
//	                      "apparmor" its kernel has that
//	volume NAME [KEY=VALUE…]
//	                      the engine has a persistent volume with labels; without any, it is somebody else's
//	hold PORT/PROTOCOL    a program outside has a port of the host; "release" is its end
//	external IP…          addresses at which the host is reached
//	lose-published        nothing is published any more, and nothing routed
//	closed NAME           the ports of a Service are not open any more
//	ingress HTTP HTTPS    the host's ports for Ingresses, 80 and 443 if nothing is said; 0 for none
//	plan                  print the actions and their reasons, and what else of them is not as always
//	do                    print them and carry them out; what is started runs at once
//	settle                do, until nothing is left to do; a second for each step
//	ready POD…            probes succeed (a pattern: web-*, or web-*#2); unready is the opposite
//	starting POD CONTAINER…
//	                      the postStart hook runs; "started" is its end and that of the startup probe
//	exit POD CONTAINER CODE [MESSAGE]
//	                      the container ends; with "oom" as the code it is killed for memory
//	unhealthy POD CONTAINER REASON
//	                      a liveness or startup probe, as the reason's first word says, wants it restarted
//	problem POD CONTAINER REASON MESSAGE
//	                      the last action on the pod failed; without a reason, it is forgotten
//	usage POD VOLUME SIZE an emptyDir was measured
//	restart               the daemon: what it knew of metrics and of volumes is gone
//	uses POD CPU MEMORY   what each of its containers uses from now on; "uses POD nothing" is not known
//	sample [N]            metrics are read after 15 s, and what is then to do is done at once; N times
//	sandbox POD stop|lose|restart
//	begins POD CONTAINER  a start that was under way comes through
//	forget POD CONTAINER  someone removes the container behind our back; "remove POD" the pod
//	lose NOTE             what was noted is lost, with a pattern: Job/default/*
//	debug POD CONTAINER   someone adds an ephemeral container
//	unknown POD           the daemon was restarted: what was written into volumes is not known
//	stopping POD          its removal is under way
//	after DURATION        time passes
//	status [KIND]         print the status of every object, or of one kind, and summaries of volumes
//	pod POD…              print the status of a pod in full, as the kubelet would report it
//	identity POD…         print what makes a pod known: its labels, its owner, its name in DNS, its claims, its index
//	notes                 print what is remembered
//	routes                print each Service with its endpoints, and each Ingress
//	services              print where each Service is reached
//	published             print what is published
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runStory(t, file) })
	}
}

func runStory(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var script string
	want := -1
	for i, f := range archive.Files {
		switch f.Name {
		case "script":
			script = string(f.Data)
		case "want":
			want = i
		default:
			w.commits[f.Name] = f.Data
		}
	}
	for line := range strings.Lines(script) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			fmt.Fprintf(&w.out, "> %s\n", strings.Join(fields, " "))
			w.run(fields)
		}
	}
	if *update {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: w.out.Bytes()})
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want < 0 || string(archive.Files[want].Data) != w.out.String() {
		t.Errorf("%s printed (run with -update to accept):\n%s", file, w.out.String())
	}
}

// commit is a new sync unless nothing has changed.
func (w *world) commit(file string) {
	if file != w.file {
		w.syncs++
	}
	w.file = file
	set := load(w.t, file, w.commits[file], w.now)
	set.Sync = strconv.Itoa(w.syncs)
	w.use(set)
}

func (w *world) run(args []string) {
	verb, rest := args[0], args[1:]
	switch verb {
	case "commit":
		w.commit(rest[0])
	case "image", "host", "runtime", "devices", "apparmor", "volume", "hold", "release", "external", "closed", "ingress", "lose-published", "certificate":
		w.prepare(verb, rest)
	case "plan":
		w.print(w.plan())
	case "do":
		w.do()
	case "settle":
		w.settle()
	case "sample":
		w.sample(rest)
	case "restart":
		w.restart()
	case "after":
		d, err := time.ParseDuration(rest[0])
		w.must(err)
		w.now = w.now.Add(d)
	case "status":
		w.status(append(rest, "")[0])
	case "pod":
		w.printPods(rest)
	case "identity":
		w.each(rest, w.identity)
	case "routes":
		w.routes()
	case "services":
		w.services()
	case "published":
		w.printPublished()
	case "notes":
		w.notes()
	default:
		w.happen(verb, rest)
	}
}

// prepare changes the engine.
func (w *world) prepare(verb string, args []string) {
	switch verb {
	case "image":
		w.image(args)
	case "host":
		for _, label := range args {
			key, value, _ := strings.Cut(label, "=")
			w.state.Host[key] = value
		}
	case "hold", "release":
		w.held[args[0]] = verb == "hold"
	case "external":
		w.state.ExternalIPs = args
	case "lose-published":
		w.state.Publications, w.state.Routes = nil, runtime.Routes{}
	case "closed":
		w.close(args[0])
	case "certificate":
		w.state.Certificates = []runtime.AutomaticCertificate{{Host: args[0], Phase: runtime.CertificatePhase(args[1]), Message: strings.Join(args[2:], " "),
			Next: w.now.Add(time.Hour)}}
	case "ingress":
		w.ingressPorts(args)
	case "runtime":
		w.state.Runtimes = args
	case "devices":
		w.state.CDI = true
	case "apparmor":
		w.state.AppArmor = true
	case "volume":
		labels := map[string]string{}
		for _, label := range args[1:] {
			key, value, _ := strings.Cut(label, "=")
			labels[key] = value
		}
		w.addVolume(args[0], labels)
	}
}

// happen lets something happen to pods.
func (w *world) happen(verb string, args []string) {
	switch verb {
	case "ready", "unready":
		w.each(args, func(p *runtime.Pod) { w.setReady(p, verb == "ready") })
	case "starting", "started":
		w.each(args[:1], func(p *runtime.Pod) { w.setStarting(p, args[1:], verb == "starting") })
	case "exit":
		w.exit(args)
	case "unhealthy":
		w.each(args[:1], func(p *runtime.Pod) {
			c := newest(p, args[1])
			c.Unhealthy, c.UnhealthyProbe = strings.Join(args[2:], " "), args[2]
		})
	case "problem":
		w.problem(args)
	case "usage":
		size, err := resource.ParseQuantity(args[2])
		w.must(err)
		w.each(args[:1], func(p *runtime.Pod) { p.Usage = map[string]int64{args[1]: size.Value()} })
	case "uses":
		w.each(args[:1], func(p *runtime.Pod) { w.uses(p, args[1:]) })
	case "sandbox":
		w.each(args[:1], func(p *runtime.Pod) { w.sandbox(p, args[1]) })
	case "begins":
		w.each(args[:1], func(p *runtime.Pod) {
			w.start(p, plan.StartContainer{Container: args[1], Attempt: newest(p, args[1]).Attempt + 1})
		})
	case "unknown":
		w.each(args, func(p *runtime.Pod) { p.Written = nil })
	case "stopping":
		w.each(args, func(p *runtime.Pod) { p.Stopping = true })
	default:
		w.tamper(verb, args)
	}
}

// tamper is what people do behind our back.
func (w *world) tamper(verb string, args []string) {
	switch verb {
	case "remove":
		gone := map[string]bool{}
		w.each(args[:1], func(p *runtime.Pod) { gone[p.ID] = true })
		w.state.Pods = slices.DeleteFunc(w.state.Pods, func(p runtime.Pod) bool { return gone[p.ID] })
	case "forget":
		w.each(args[:1], func(p *runtime.Pod) {
			p.Containers = slices.DeleteFunc(p.Containers, func(c runtime.Container) bool { return c.Name == args[1] })
		})
	case "lose":
		maps.DeleteFunc(w.state.Notes, func(name, _ string) bool { ok, _ := path.Match(args[0], name); return ok })
	case "debug":
		w.each(args[:1], func(p *runtime.Pod) {
			p.Containers = append(p.Containers, runtime.Container{ID: p.ID + "/" + args[1], Name: args[1], Image: "busybox",
				Ephemeral: true, State: runtime.Running, CreatedAt: w.now, StartedAt: w.now})
		})
	default:
		w.t.Fatalf("unknown command %q", verb)
	}
}
