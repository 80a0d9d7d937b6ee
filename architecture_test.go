// Package podyard_test holds the rules of the architecture as tests.
package podyard_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/podyard/podyard"

// mayImport says which of our packages each package may import: the table of ARCHITECTURE.md. A package that is not
// listed fails the test, so that a new one is thought about.
var mayImport = map[string][]string{
	"sources":                  {},
	"manifests":                {},
	"runtime":                  {},
	"runtime/runtimetest":      {"runtime"},
	"runtime/fake":             {"runtime"},
	"runtime/docker":           {"runtime", "gateway", "ingress", "wire"},
	"runtime/docker/publisher": {"gateway", "runtime/docker/sandbox"},
	"runtime/docker/reaper":    {},
	"runtime/docker/sandbox":   {},
	"runtime/docker/usage":     {},
	"runtime/docker/writer":    {},
	"wire":                     {},
	"gateway":                  {"wire"},
	"ingress":                  {"wire"},
	"reconcile/plan":           {"manifests", "runtime"},
	"reconcile":                {"manifests", "runtime", "reconcile/plan"},
	"history":                  {},
	"status":                   {},
	"deploy":                   {"sources", "manifests", "runtime", "reconcile", "reconcile/plan", "history", "status"},
}

// anything may be imported by what puts the parts together.
var anything = []string{"cmd/", "e2e", "bench"}

type goPackage struct {
	ImportPath, Dir      string
	Imports, TestImports []string
	XTestImports         []string
	GoFiles              []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports,GoFiles", "./...")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if p.ImportPath == module || slices.ContainsFunc(anything, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		allowed, listed := mayImport[name]
		if strings.Contains(name, "/internal/") {
			continue // seen by its parent only
		}
		if !listed {
			t.Errorf("package %s is not in the table of imports: say in architecture_test.go and ARCHITECTURE.md what it may import", name)
			continue
		}
		for _, path := range p.Imports {
			ours, isOurs := strings.CutPrefix(path, module+"/")
			if isOurs && !slices.Contains(allowed, ours) && !strings.HasPrefix(ours, name+"/") {
				t.Errorf("package %s must not import %s", name, ours)
			}
		}
	}
}

func TestEveryPackageHasADocFile(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 || strings.Contains(p.Dir, "testdata") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(p.Dir, "doc.go"))
		if err != nil {
			t.Errorf("package %s has no doc.go", p.ImportPath)
		} else if !bytes.HasPrefix(text, []byte("// Package ")) && !bytes.HasPrefix(text, []byte("// Command ")) {
			t.Errorf("doc.go of %s does not begin with a package comment", p.ImportPath)
		}
	}
}

// TestPlanIsPure: no I/O, no clock, no chance, no concurrency. Values in, values out.
func TestPlanIsPure(t *testing.T) {
	forbiddenImports := []string{"os", "io", "net", "net/http", "context", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "bufio", "os/exec", "syscall", "unsafe"}
	forbiddenCalls := map[string][]string{"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, "fmt": {"Print", "Println", "Printf"}}
	for path, file := range parseFiles(t, "reconcile/plan") {
		for _, i := range file.Imports {
			if slices.Contains(forbiddenImports, strings.Trim(i.Path.Value, `"`)) {
				t.Errorf("%s imports %s: a plan must be pure", path, i.Path.Value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s uses goroutines or channels: a plan must be pure", path)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(forbiddenCalls[x.Name], n.Sel.Name) {
					t.Errorf("%s calls %s.%s: a plan must be pure", path, x.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestNoReplaceDirectives: with one, go install …@latest would not work.
func TestNoReplaceDirectives(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("replace")) {
		t.Error("go.mod has a replace directive")
	}
}

func parseFiles(t *testing.T, dir string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, 0)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("parse %s: %d files, %v", dir, len(files), err)
	}
	return files
}
