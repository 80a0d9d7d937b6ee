package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/podyard/podyard/status"
)

var onlyStories = flag.String("stories", "", "run only the stories of testdata/fields whose name matches this regular expression")

// TestPodFields runs every story of testdata/fields on the engine: pods that use a field, and what the programs in them
// see of it. All stories are one commit, each in a namespace of its own; a second commit brings what is under then/.
//
// A story begins with lines "fields: …" that name the fields it is about, as docs/support.md does; a.{b,c} is a.b and a.c,
// and what belongs to another kind than Pod has it in front, as Kind/field. Its files are manifests, in which the image
// tools is busybox and the server of e2e/server, and expectations:
//
//	log [POD/CONTAINER]     lines of the log, in this order, others between them; -previous for the attempt before
//	exec [POD/CONTAINER]    "$ command" and the lines that it prints
//	host                    the same on the host, where podyard talks to the daemon and root runs a command
//	status [POD]            "path: value" of the pod in the JSON that the status page is made of
//	events [POD]            "Reason message", each of an event of the pod
//
// All of them are regular expressions for whole lines, except for commands and paths. The pod is called pod and the
// container main unless they say otherwise. "then log" and the like hold after the second commit, in which an empty file
// under then/ takes away the one of that name. What the words in capitals stand for that hosts differ in: hostWord.
func TestPodFields(t *testing.T) {
	stories := fieldStories(t)
	adopted := adoptedVolume(t) // before the host, so that it is looked at after all that is the host's was removed
	h := newHost(t)
	h.writeCommands()
	words := h.hostWords(adopted)
	for i := range stories {
		stories[i].replace(words)
		stories[i].check(t)
	}
	h.commit("Fields", fieldFiles(stories, false))
	h.start(h.fieldFlags()...)
	h.awaitTaken("Fields")
	t.Run("first", func(t *testing.T) { h.tell(t, stories, "") })
	if t.Failed() {
		out, _ := h.podyard("status")
		t.Logf("status:\n%s", out)
	}
	h.commit("Then", fieldFiles(stories, true))
	h.awaitTaken("Then")
	t.Run("then", func(t *testing.T) { h.tell(t, stories, "then ") })
}

// fieldStory is one file of testdata/fields. Its pods are in a namespace of its own.
type fieldStory struct {
	name, namespace string
	fields          []string
	files           []txtar.File
}

func fieldStories(t *testing.T) []fieldStory {
	t.Helper()
	paths, err := filepath.Glob("testdata/fields/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var stories []fieldStory
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		if !regexp.MustCompile(*onlyStories).MatchString(name) {
			continue
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		story := fieldStory{name: name, files: archive.Files}
		story.namespace = regexp.MustCompile("[^a-z0-9]+").ReplaceAllString(strings.ToLower(name), "-")
		for _, line := range regexp.MustCompile("(?m)^fields: (.*)").FindAllStringSubmatch(string(archive.Comment), -1) {
			for _, field := range strings.Fields(line[1]) {
				story.fields = append(story.fields, withoutBraces(field)...)
			}
		}
		if len(story.fields) == 0 {
			t.Fatalf("%s does not say which fields it is about", path)
		}
		stories = append(stories, story)
	}
	return stories
}

// withoutBraces is a.b and a.c for a.{b,c}.
func withoutBraces(field string) (out []string) {
	before, rest, found := strings.Cut(field, "{")
	if !found {
		return []string{field}
	}
	choices, after, _ := strings.Cut(rest, "}")
	for _, choice := range strings.Split(choices, ",") {
		out = append(out, withoutBraces(before+choice+after)...)
	}
	return out
}

// replace puts what they stand for in the place of words.
func (s *fieldStory) replace(words func(namespace, word string) string) {
	for i, f := range s.files {
		s.files[i].Data = hostWord.ReplaceAllFunc(f.Data, func(word []byte) []byte { return []byte(words(s.namespace, string(word))) })
	}
}

// check finds mistakes in the expectations before anything runs.
func (s *fieldStory) check(t *testing.T) {
	t.Helper()
	for _, e := range slices.Concat(s.expectations(""), s.expectations("then ")) {
		for _, line := range e.lines {
			if _, err := regexp.Compile(line); err != nil && !strings.HasPrefix(line, "$ ") {
				t.Fatalf("%s: %s: %v", s.name, e.title, err)
			}
		}
	}
}

// fieldFiles are the stories as one application. Files of the second commit replace those of the same name.
func fieldFiles(stories []fieldStory, then bool) map[string]string {
	files, all := map[string]string{}, []string{}
	for _, s := range stories {
		resources := map[string]bool{}
		for _, f := range s.files {
			name, later := strings.CutPrefix(f.Name, "then/")
			if !strings.HasSuffix(name, ".yaml") || later && !then {
				continue
			}
			files[s.namespace+"/"+name] = strings.ReplaceAll(string(f.Data), "image: tools", "image: "+toolsImage)
			resources[name] = len(f.Data) > 0
		}
		maps.DeleteFunc(resources, func(_ string, there bool) bool { return !there })
		files[s.namespace+"/kustomization.yaml"] = fmt.Sprintf("namespace: %s\nresources: [%s]\n", s.namespace,
			strings.Join(slices.Sorted(maps.Keys(resources)), ", "))
		all = append(all, s.namespace)
	}
	files["kustomization.yaml"] = fmt.Sprintf("resources: [%s]\n", strings.Join(all, ", "))
	return files
}

// awaitTaken waits until a commit is being applied.
func (h *host) awaitTaken(subject string) {
	h.Helper()
	h.await(fmt.Sprintf("commit %q to be taken", subject), func() bool {
		s := h.snapshot()
		if len(s.Revisions) == 0 || s.Revisions[0].Commit.Subject != subject {
			return false
		}
		if s.Revisions[0].Outcome == status.Refused {
			h.Fatalf("commit %q is refused: %s", subject, s.Revisions[0].Message)
		}
		return true
	})
}

// tell checks the expectations of all stories side by side. when is "" or "then ".
func (h *host) tell(t *testing.T, stories []fieldStory, when string) {
	failures := make([]string, len(stories))
	var all sync.WaitGroup
	looks := make(chan struct{}, 2) // looking is work for the engine, waiting is not
	for i, s := range stories {
		all.Go(func() {
			deadline := time.Now().Add(patience)
			for _, e := range s.expectations(when) {
				failures[i] += h.expect(t.Context(), e, looks, deadline)
			}
		})
	}
	all.Wait()
	for i, s := range stories {
		if failures[i] != "" {
			t.Run(s.name, func(t *testing.T) { t.Error(failures[i]) })
		}
	}
}

// expectation is one file of a story that says what is to be seen.
type expectation struct {
	title, kind, namespace, pod, container string
	previous                               bool
	lines                                  []string
}

func (s fieldStory) expectations(when string) []expectation {
	var out []expectation
	for _, f := range s.files {
		name, ok := strings.CutPrefix(f.Name, when)
		words := strings.Fields(name)
		if !ok || len(words) == 0 || !slices.Contains([]string{"log", "exec", "host", "status", "events"}, words[0]) {
			continue
		}
		e := expectation{title: f.Name, kind: words[0], namespace: s.namespace, pod: "pod", container: "main"}
		for _, word := range words[1:] {
			pod, container, both := strings.Cut(word, "/")
			switch {
			case word == "-previous":
				e.previous = true
			case both:
				e.pod, e.container = pod, container
			default:
				e.pod = pod
			}
		}
		e.lines = strings.Split(strings.TrimRight(string(f.Data), "\n"), "\n")
		out = append(out, e)
	}
	return out
}

// patience is how long the expectations of a story may take to come true, counted from when the last pod was made: restarts
// wait for their back-off.
const patience = 150 * time.Second

// expect asks until what is seen is what is expected, or says what was seen instead.
func (h *host) expect(ctx context.Context, e expectation, looks chan struct{}, deadline time.Time) string {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		looks <- struct{}{}
		seen, missing := h.look(ctx, e)
		<-looks
		if missing == "" {
			return ""
		}
		if time.Now().After(deadline) && time.Since(h.newestPod()) > patience {
			return fmt.Sprintf("%s: %s is not to be seen, but\n%s\n", e.title, missing, strings.Join(seen, "\n"))
		}
		time.Sleep(wait)
	}
}

// newestPod is when the last pod was made.
func (h *host) newestPod() (newest time.Time) {
	for _, p := range h.snapshot().Pods {
		if p.Created.After(newest) {
			newest = p.Created
		}
	}
	return newest
}

// look returns what is to be seen now and the first line that is missing from it.
func (h *host) look(ctx context.Context, e expectation) (seen []string, missing string) {
	switch e.kind {
	case "log":
		var log bytes.Buffer
		request := status.LogRequest{Namespace: e.namespace, Pod: e.pod, Container: e.container, Previous: e.previous, Tail: -1}
		if err := h.client.Logs(ctx, request, &log); err != nil {
			return []string{err.Error()}, e.lines[0]
		}
		seen = strings.Split(log.String(), "\n")
		return seen, firstMissing(seen, e.lines)
	case "exec":
		return h.lookInside(e)
	case "host":
		return e.run(func(command string) *exec.Cmd {
			shell := exec.Command("bash", "-c", command)
			shell.Env = append(os.Environ(), "PATH="+h.commands+":"+os.Getenv("PATH"))
			return shell
		})
	case "status":
		seen = h.podView(e.namespace, e.pod)
		return seen, firstMissingAnywhere(seen, e.lines, true)
	default:
		events, err := h.client.Events(ctx, status.Ref{Kind: "Pod", Namespace: e.namespace, Name: e.pod}, 100)
		if err != nil {
			return []string{err.Error()}, e.lines[0]
		}
		for _, event := range events {
			seen = append(seen, event.Reason+" "+event.Message)
		}
		return seen, firstMissingAnywhere(seen, e.lines, false)
	}
}

// lookInside runs the commands of an expectation in the container.
func (h *host) lookInside(e expectation) (seen []string, missing string) {
	out, err := exec.Command("docker", "ps", "--quiet", "--filter", "label=podyard.dev/instance="+h.instance,
		"--filter", "label=io.kubernetes.pod.namespace="+e.namespace, "--filter", "label=io.kubernetes.pod.name="+e.pod,
		"--filter", "label=io.kubernetes.container.name="+e.container).Output()
	id := string(bytes.TrimSpace(out))
	if err != nil || len(strings.Fields(id)) != 1 {
		return []string{fmt.Sprintf("containers %q", id)}, e.lines[0]
	}
	return e.run(func(command string) *exec.Cmd {
		return exec.Command("docker", "exec", id, "/bin/busybox", "sh", "-c", command)
	})
}

// run runs the commands of an expectation; each must print the lines that follow it.
func (e expectation) run(shell func(command string) *exec.Cmd) (seen []string, missing string) {
	for i := 0; i < len(e.lines); {
		end := i + 1
		for end < len(e.lines) && !strings.HasPrefix(e.lines[end], "$ ") {
			end++
		}
		out, _ := shell(strings.TrimPrefix(e.lines[i], "$ ")).CombinedOutput() // what it prints is what counts
		printed := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
		seen = append(append(seen, e.lines[i]), printed...)
		if missing := firstMissing(printed, e.lines[i+1:end]); missing != "" {
			return seen, missing
		}
		i = end
	}
	return seen, ""
}

// podView is a pod as "path: value" lines; items of lists go by their name or type.
func (h *host) podView(namespace, name string) (lines []string) {
	for _, p := range h.snapshot().Pods {
		if p.Namespace != namespace || p.Name != name {
			continue
		}
		text, err := json.Marshal(p)
		if err != nil {
			return []string{err.Error()}
		}
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			return []string{err.Error()}
		}
		flatten("", tree, &lines)
	}
	slices.Sort(lines)
	return lines
}

func flatten(path string, value any, lines *[]string) {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			flatten(strings.TrimPrefix(path+"."+key, "."), v, lines)
		}
	case []any:
		for i, v := range value {
			index := fmt.Sprint(i)
			if item, ok := v.(map[string]any); ok {
				for _, key := range []string{"type", "name"} {
					if s, ok := item[key].(string); ok {
						index = s
					}
				}
			}
			flatten(path+"["+index+"]", v, lines)
		}
	default:
		*lines = append(*lines, fmt.Sprintf("%s: %v", path, value))
	}
}

// firstMissing is the first expected line that does not come after the ones before it; empty if all do.
func firstMissing(seen, expected []string) string {
	at := 0
	for _, line := range expected {
		pattern := regexp.MustCompile("^(?:" + line + ")$")
		for at < len(seen) && !pattern.MatchString(seen[at]) {
			at++
		}
		if at == len(seen) {
			return line
		}
		at++
	}
	return ""
}

// firstMissingAnywhere is the first expected line that is not there; empty if all are. With paths, what is before ": "
// is no pattern.
func firstMissingAnywhere(seen, expected []string, paths bool) string {
	for _, line := range expected {
		pattern := line
		if path, value, found := strings.Cut(line, ": "); found && paths {
			pattern = regexp.QuoteMeta(path) + ": (?:" + value + ")"
		}
		if !slices.ContainsFunc(seen, regexp.MustCompile("^(?s:"+pattern+")$").MatchString) {
			return line
		}
	}
	return ""
}

// TestEveryHonouredPodFieldHasAStory compares the stories with the tables of fields in docs/support.md.
func TestEveryHonouredPodFieldHasAStory(t *testing.T) {
	page, err := os.ReadFile("../docs/support.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, s := range fieldStories(t) {
		for _, f := range s.fields {
			told[f] = s.name
		}
	}
	honoured := honouredFields(string(page))
	for _, field := range honoured {
		if told[field] == "" {
			t.Errorf("no story in e2e/testdata/fields is about %s", field)
		}
		delete(told, field)
	}
	if len(honoured) < 150 {
		t.Errorf("only %d honoured fields found: the page is read wrongly", len(honoured))
	}
	for field, story := range told {
		t.Errorf("testdata/fields/%s.txtar is about %s, which is no honoured field", story, field)
	}
}

// podKinds are those of docs/support.md that are told by pods that use them.
var podKinds = []string{"Pod", "PersistentVolumeClaim", "PersistentVolume", "RuntimeClass", "ServiceAccount"}

func honouredFields(page string) (fields []string) {
	for _, kind := range podKinds {
		_, section, _ := strings.Cut(page, "\n## "+kind+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| honoured \\|").FindAllStringSubmatch(section, -1) {
			field := kind + "/" + row[1]
			fields = append(fields, strings.TrimPrefix(field, "Pod/"))
		}
	}
	return fields
}
