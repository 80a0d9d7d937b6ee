package docker

import (
	"io"
	"strings"
	"testing"

	"github.com/podyard/podyard/runtime"
)

func TestTheEndOfAMessageIsKeptAndNoHalfCharacter(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"short", "the end", "the end"},
		{"long", strings.Repeat("a", 5000) + "z", strings.Repeat("a", 4095) + "z"},
		{"cut within a character", strings.Repeat("a", 10) + "\u00fc" + strings.Repeat("b", 4095), strings.Repeat("b", 4095)},
		{"no text", "a\xff\xfeb", "ab"},
	} {
		for _, chunk := range []int{1, 3, 1 << 20} {
			end := &ending{limit: maxTerminationMessage}
			if _, err := io.CopyBuffer(struct{ io.Writer }{end}, struct{ io.Reader }{strings.NewReader(c.text)}, make([]byte, chunk)); err != nil {
				t.Fatal(err)
			}
			if got := end.String(); got != c.want {
				t.Errorf("%s, %d bytes at once: %d bytes %.20q…, want %d", c.name, chunk, len(got), got, len(c.want))
			}
		}
	}
}

func TestAttemptsTakeTurnsWithTheFilesForMessages(t *testing.T) {
	e := &Engine{}
	e.cache.entries = map[string]*entry{}
	sandbox := sandboxEntry(testPod("web"))
	sandbox.messages.source = "/x"
	attempt := func(id string, n int, file string) {
		e.cache.entries[id] = &entry{id: id, role: roleContainer, sandbox: sandbox.id, message: messagePlace{file: file},
			container: &runtime.Container{Name: "main", Attempt: n}}
	}
	config := runtime.ContainerConfig{Name: "main", TerminationMessagePath: "/dev/termination-log"}
	want := func(attempt int, file string) {
		t.Helper()
		config.Attempt = attempt
		if got := e.messageFile(sandbox, config); got != file {
			t.Errorf("attempt %d has file %q, want %q", attempt, got, file)
		}
	}
	want(0, "main.0")
	attempt("a", 0, "main.0")
	want(0, "main.0")
	want(1, "main.1")
	attempt("b", 1, "main.1")
	want(2, "main.2")
	delete(e.cache.entries, "a")
	want(2, "main.0")
	config.Mounts = []runtime.Mount{{Volume: "log", Path: "/dev/termination-log"}}
	want(2, "")
}
