package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fence = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestDocumentedCommandsParse: every podyard command line in the documents names a command that exists, with flags it has
// and arguments it takes.
func TestDocumentedCommandsParse(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md", "../../examples/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			for _, line := range strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
				if i := strings.Index(line, "podyard "); i == 0 {
					found++
					checkCommand(t, page, line)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d command lines", found)
	}
}

func checkCommand(t *testing.T, page, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " #")
	args := words(line)[1:]
	command, rest, err := newRoot().Find(args)
	if err != nil || command.Name() == "podyard" {
		t.Errorf("%s: %q: no such command (%v)", page, line, err)
		return
	}
	if err := command.ParseFlags(rest); err != nil {
		t.Errorf("%s: %q: %v", page, line, err)
		return
	}
	if err := command.ValidateArgs(command.Flags().Args()); err != nil {
		t.Errorf("%s: %q: %v", page, line, err)
	}
}

// words splits as a shell does, as far as the documents need it.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}
