package sources

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gitEnv keeps the configuration of whoever runs the tests out of them.
func gitEnv() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org")
}

// git runs the real git client and returns what it prints.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir, cmd.Env = dir, gitEnv()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(out.String())
}

// gitStdin runs git with an input.
func gitStdin(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// newRepo makes a work tree with one commit that holds app.yaml.
func newRepo(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q")
	commit(t, dir, "app.yaml", "one")
	return dir
}

// commit writes one file and commits it; it returns the hash.
func commit(t testing.TB, dir, name, content string) string {
	t.Helper()
	write(t, filepath.Join(dir, name), content)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "set "+name+" to "+content)
	return git(t, dir, "rev-parse", "HEAD")
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dataDir string, opts Options) Source {
	t.Helper()
	src, err := Open(dataDir, opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return src
}

func fetch(t testing.TB, src Source) *Artifact {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := src.Fetch(ctx)
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	return a
}

// fetchError fetches and returns the error's text; it must contain all of want.
func fetchError(t testing.TB, src Source, want ...string) error {
	t.Helper()
	_, err := src.Fetch(context.Background())
	mustSay(t, err, want...)
	return err
}

func mustSay(t testing.TB, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func resolve(t testing.TB, src Source, rev string) *Artifact {
	t.Helper()
	a, err := src.Resolve(context.Background(), rev)
	if err != nil {
		t.Fatalf("resolve: %v", err)
	}
	return a
}

// wantFile checks the content of a file in the artifact.
func wantFile(t testing.TB, a *Artifact, name, content string) {
	t.Helper()
	data, err := fs.ReadFile(a.Tree, name)
	if err != nil {
		t.Fatalf("read %s of %s: %v", name, a.Revision, err)
	}
	if string(data) != content {
		t.Errorf("%s of %s = %q, want %q", name, a.Revision, data, content)
	}
}

func wantCommit(t testing.TB, a *Artifact, hash string) {
	t.Helper()
	if a.Commit.Hash != hash {
		t.Errorf("revision = %s, want commit %s", a.Revision, hash)
	}
}

// mirrorPath is the only mirror in a data directory.
func mirrorPath(t testing.TB, dataDir string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dataDir, "mirrors"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		if !strings.Contains(e.Name(), ".broken") && !strings.Contains(e.Name(), ".tmp-") {
			found = append(found, e.Name())
		}
	}
	if len(found) != 1 {
		t.Fatalf("mirrors = %v, want one", found)
	}
	return filepath.Join(dataDir, "mirrors", found[0])
}
