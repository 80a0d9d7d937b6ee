package manifests

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// bypass is a walk that nothing was checked in: what the child must withstand on its own.
func bypass(files ...string) *walk {
	w := &walk{root: ".", rootFile: "kustomization.yaml", texts: map[string][]byte{}, secrets: map[string]bool{}}
	for i := 0; i < len(files); i += 2 {
		w.texts[files[i]] = []byte(files[i+1])
	}
	return w
}

func runBypassed(t *testing.T, options RendererOptions, files ...string) error {
	t.Helper()
	_, _, err := NewRenderer(options).runChild(t.Context(), bypass(files...))
	return err
}

// commandReferences make an unfenced kustomize v0.21.2 run a command through git (CVE-2026-113708).
func commandReferences(marker string) []string {
	return []string{
		"file:///a/b/c?ref=--upload-pack=touch " + marker,
		"https://127.0.0.1:9/a/b?ref=--upload-pack=touch${IFS}" + marker,
		"ssh://-oProxyCommand=touch${IFS}" + marker + "/a/b",
	}
}

func TestNoCommandIsRunForAReference(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	for _, reference := range commandReferences(marker) {
		for _, field := range []string{"resources", "bases", "components", "generators", "transformers", "validators"} {
			text := fmt.Sprintf("%s: [%q]", field, reference)
			err := message(prewalked(tree("kustomization.yaml", text)))
			if !strings.Contains(err, "kustomization.yaml:1: "+field+"[0]: is a remote reference") {
				t.Errorf("%s: the pre-walk says %q", text, err)
			}
			if err := runBypassed(t, RendererOptions{}, "kustomization.yaml", text); err == nil {
				t.Errorf("%s: rendered by the child", text)
			}
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command was run")
	}
}

func prewalked(files fs.FS) error {
	_, err := prewalk(newRepository(files), ".", ".")
	return err
}

func TestNothingIsFetched(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled := make(chan struct{}, 100)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
			dialled <- struct{}{}
		}
	}()
	url := "http://" + listener.Addr().String() + "/a.yaml"
	for _, text := range []string{
		"resources: [%q]", "crds: [%q]", "configurations: [%q]", "openapi: {path: %q}", "components: [%q]",
		"patches: [{path: %q}]", "patchesStrategicMerge: [%q]", "replacements: [{path: %q}]", "Resources: [%q]",
		"configMapGenerator: [{name: a, files: [%q]}]", "secretGenerator: [{name: a, envs: [%q]}]", "transformers: [%q]",
	} {
		text = fmt.Sprintf(text, url) + "\nnamePrefix: x-\n"
		if _, err := NewRenderer(RendererOptions{}).render(t.Context(), tree("kustomization.yaml", text), "."); err == nil {
			t.Errorf("%s: rendered", text)
		}
		if err := runBypassed(t, RendererOptions{}, "kustomization.yaml", text); err == nil {
			t.Errorf("%s: rendered by the child", text)
		}
	}
	select {
	case <-dialled:
		t.Error("the renderer made a connection")
	case <-time.After(100 * time.Millisecond):
	}
}

// bomb is 10 levels of ten aliases each: 600 bytes for ten thousand million values.
func bomb() string {
	text := configMap + "data:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		alias := fmt.Sprintf("*a%d", i-1)
		text += fmt.Sprintf("  a%d: &a%d [%s]\n", i, i, strings.Join(slices.Repeat([]string{alias}, 10), ","))
	}
	return text
}

func TestAnAliasBombIsBounded(t *testing.T) {
	start := time.Now()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, files := range map[string][]string{
		"plain file": {"a.yaml", bomb()},
		"resource":   {"kustomization.yaml", "resources: [a.yaml]", "a.yaml", bomb()},
		"patch":      {"kustomization.yaml", "patches: [{path: a.yaml}]", "a.yaml", bomb()},
		"inline":     {"kustomization.yaml", "patches:\n- patch: |\n    " + strings.ReplaceAll(bomb(), "\n", "\n    ")},
		"itself":     {"kustomization.yaml", bomb()},
		"endless":    {"a.yaml", configMap + "data: &a {b: *a}\n"},
	} {
		_, err := NewRenderer(RendererOptions{}).render(t.Context(), tree(files...), ".")
		if !strings.Contains(message(err), "stand for much more than") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	runtime.ReadMemStats(&after)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	if took := after.Sys - before.Sys; took > 256<<20 {
		t.Errorf("the parent took %d MiB", took>>20)
	}
}

func TestTheChildDiesOfABombAndNotTheParent(t *testing.T) {
	options := RendererOptions{Timeout: 4 * time.Second}
	if err := runBypassed(t, options, "kustomization.yaml", "resources: [a.yaml]", "a.yaml", configMap); err != nil {
		t.Fatal("what is harmless must fit into the limits:", err)
	}
	start := time.Now()
	err := runBypassed(t, options, "kustomization.yaml", "resources: [a.yaml]", "a.yaml", bomb())
	ends := []string{"512 MiB of memory", "longer than 4s", "of CPU time", "exit status 66"} // the last is the race detector's
	if !slices.ContainsFunc(ends, func(end string) bool { return strings.Contains(message(err), end) }) {
		t.Errorf("got error %v", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestTheDeadlineEndsTheChild(t *testing.T) {
	renderer := NewRenderer(RendererOptions{Command: []string{"/bin/sh", "-c", "while :; do :; done"}, Timeout: 300 * time.Millisecond})
	for range 2 {
		_, err := renderer.render(t.Context(), tree("kustomization.yaml", "resources: [a.yaml]", "a.yaml", configMap), ".")
		if message(err) != "kustomization.yaml: rendering took longer than 300ms" {
			t.Fatalf("got error %v", err)
		}
	}
	if renderer.ChildRuns() != 2 {
		t.Error("a render that took too long must be tried again")
	}
}

func TestHugeTreesAreRefused(t *testing.T) {
	big := strings.Repeat("#", maxFile+1)
	half := strings.Repeat("#", maxFile-100)
	var many, heavy []string
	list, weights := "resources:\n", "configMapGenerator:\n- name: a\n  files:\n"
	for i := range maxFiles + 1 {
		many = append(many, fmt.Sprintf("f%d.yaml", i), configMap)
		list += fmt.Sprintf("- f%d.yaml\n", i)
	}
	for i := range 9 {
		heavy = append(heavy, fmt.Sprintf("f%d.txt", i), half)
		weights += fmt.Sprintf("  - f%d.txt\n", i)
	}
	for want, files := range map[string][]string{
		"kustomization.yaml:1: resources[0]: a.yaml is larger than 8 MiB":   {"kustomization.yaml", "resources: [a.yaml]", "a.yaml", big},
		"resources[9999]: f9999.yaml is one file too many":                  append(many, "kustomization.yaml", list),
		"f8.txt is too much: all files of an application together may have": append(heavy, "kustomization.yaml", weights),
		"a.yaml: is larger than 8 MiB":                                      {"a.yaml", big},
	} {
		_, err := NewRenderer(RendererOptions{}).render(t.Context(), tree(files...), ".")
		if !strings.Contains(message(err), want) {
			t.Errorf("got %.300q, want %q", message(err), want)
		}
	}
}

const canary = "canary-Zm9v-secret"

// TestNoSecretInAnyError breaks Secrets in every way kustomize complains about.
func TestNoSecretInAnyError(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(canary))
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: " + canary + "}\n"
	for name, files := range map[string][]string{
		"twice":         {"kustomization.yaml", "resources: [a.yaml, b.yaml]", "a.yaml", secret, "b.yaml", secret},
		"no name":       {"kustomization.yaml", "resources: [a.yaml]", "a.yaml", strings.Replace(secret, "{name: s}", "{}", 1)},
		"data is text":  {"kustomization.yaml", "resources: [a.yaml]\nnamePrefix: x-\nlabels: [{pairs: {a: b}}]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.b}\n  targets: [{select: {kind: Secret}, fieldPaths: [stringData.c]}]", "a.yaml", secret},
		"bad patch":     {"kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: {kind: Secret}\n  patch: |\n    - op: replace\n      path: /none/x\n      value: " + canary, "a.yaml", secret},
		"unreadable":    {"kustomization.yaml", "resources: [a.yaml]\npatches:\n- patch: |\n    " + canary, "a.yaml", secret},
		"patch of none": {"kustomization.yaml", "patches:\n- patch: |\n    kind: Secret\n    apiVersion: v1\n    metadata: {name: q}\n    data: {a: " + encoded + "}\nresources: [a.yaml]", "a.yaml", secret},
		"literal":       {"kustomization.yaml", "secretGenerator:\n- name: a\n  literals: [" + canary + "]"},
		"literal twice": {"kustomization.yaml", "secretGenerator:\n- name: a\n  literals: [a=" + canary + ", a=" + canary + "]"},
		"file name":     {"kustomization.yaml", "resources: [a.yaml, " + canary + "]", "a.yaml", secret, canary, secret},
		"env file":      {"kustomization.yaml", "secretGenerator:\n- name: a\n  envs: [e]", "e", canary + "/x y\n" + canary + "/x y\n"},
		"env not text":  {"kustomization.yaml", "secretGenerator:\n- name: a\n  envs: [e]", "e", "a=" + canary + "\xff\n"},
		"broken YAML":   {"a.yaml", secret + "  " + canary + ": [\n"},
		"not an object": {"a.yaml", canary},
	} {
		_, err := NewRenderer(RendererOptions{}).render(t.Context(), tree(files...), ".")
		if err == nil {
			t.Errorf("%s: rendered without error", name)
		}
		if text := message(err); strings.Contains(text, canary) || strings.Contains(text, encoded) || strings.Contains(text, memoryRoot) {
			t.Errorf("%s: the error shows a secret or a path of the child: %s", name, text)
		}
	}
}

func TestAProgramThatForgotTheChildSaysSo(t *testing.T) {
	ready.Store(false)
	defer ready.Store(true)
	_, err := NewRenderer(RendererOptions{}).command()
	if !strings.Contains(message(err), "RunChildIfAsked") {
		t.Errorf("got error %v", err)
	}
}
