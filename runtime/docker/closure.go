package docker

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// closure is the binary and all that the dynamic loader would need to start it: what a plain `go run` builds where cgo
// is on is linked to the C library. A static binary is alone. root is "/", or another root in tests.
func closure(binary, root string) ([]imageFile, error) {
	files := []imageFile{{target: infraBinary, source: binary}}
	main, err := readELF(binary)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", binary, err)
	}
	if main.interpreter == "" {
		return files, nil
	}
	files = append(files, imageFile{main.interpreter, filepath.Join(root, main.interpreter)})
	search := libraryPath(root)
	found := map[string]bool{filepath.Base(main.interpreter): true}
	for todo := []dynamic{main}; len(todo) > 0; todo = todo[1:] {
		for _, name := range todo[0].needed {
			if found[name] {
				continue
			}
			found[name] = true
			library, target, err := locate(name, append(todo[0].paths, search...), main, root)
			if err != nil {
				return nil, err
			}
			files = append(files, imageFile{target, filepath.Join(root, target)})
			todo = append(todo, library)
		}
	}
	return files, nil
}

// dynamic is what one object asks of the loader.
type dynamic struct {
	interpreter   string
	needed, paths []string
	class         elf.Class
	machine       elf.Machine
}

func readELF(name string) (dynamic, error) {
	file, err := elf.Open(name)
	if err != nil {
		return dynamic{}, err
	}
	defer file.Close()
	out := dynamic{class: file.Class, machine: file.Machine}
	for _, p := range file.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text := make([]byte, p.Filesz)
		if _, err := p.ReadAt(text, 0); err != nil {
			return dynamic{}, fmt.Errorf("read the interpreter: %w", err)
		}
		out.interpreter = strings.TrimRight(string(text), "\x00")
	}
	if out.needed, err = file.ImportedLibraries(); err != nil {
		return dynamic{}, fmt.Errorf("read the libraries: %w", err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		list, err := file.DynString(tag)
		if err != nil {
			return dynamic{}, fmt.Errorf("read the library path: %w", err)
		}
		for _, entry := range list {
			for dir := range strings.SplitSeq(entry, ":") {
				out.paths = append(out.paths, strings.NewReplacer("$ORIGIN", filepath.Dir(name), "${ORIGIN}", filepath.Dir(name)).Replace(dir))
			}
		}
	}
	return out, nil
}

// locate finds the first library of that name that is for the same machine.
func locate(name string, search []string, main dynamic, root string) (dynamic, string, error) {
	for _, dir := range search {
		target := filepath.Join(dir, name)
		library, err := readELF(filepath.Join(root, target))
		if err == nil && library.class == main.class && library.machine == main.machine {
			return library, target, nil
		}
	}
	return dynamic{}, "", fmt.Errorf("library %s: not found in %s", name, strings.Join(search, ", "))
}

// libraryPath is where the loader looks: /etc/ld.so.conf with what it includes, then the usual places (ld.so(8)). Musl
// looks in /lib, /usr/local/lib and /usr/lib.
func libraryPath(root string) []string {
	dirs := readConf(root, "/etc/ld.so.conf", 0)
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
}

// maxIncludes bounds configuration files that include each other.
const maxIncludes = 8

func readConf(root, name string, depth int) []string {
	file, err := os.Open(filepath.Join(root, name))
	if err != nil || depth > maxIncludes {
		return nil
	}
	defer file.Close()
	var dirs []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "include":
			for _, pattern := range words[1:] {
				dirs = append(dirs, readIncluded(root, name, pattern, depth)...)
			}
		case filepath.IsAbs(words[0]):
			dirs = append(dirs, words[0])
		}
	}
	return dirs
}

func readIncluded(root, from, pattern string, depth int) []string {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	names, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		return nil
	}
	var dirs []string
	for _, name := range names {
		relative, err := filepath.Rel(root, name)
		if err == nil {
			dirs = append(dirs, readConf(root, "/"+relative, depth+1)...)
		}
	}
	return dirs
}
