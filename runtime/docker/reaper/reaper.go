package reaper

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// rounds bounds the looks at the processes: one that forks while it is looked for is found in the next round.
const (
	rounds = 50
	pause  = 10 * time.Millisecond
)

// Main is `podyard reap NAME=VALUE`. The exit code is 2 for a wrong command line and 1 if something is left.
func Main(args []string, stderr io.Writer) int {
	if len(args) != 1 || !strings.Contains(args[0], "=") {
		fmt.Fprintln(stderr, "usage: podyard reap NAME=VALUE")
		return 2
	}
	for range rounds {
		marked := find("/proc", args[0])
		if len(marked) == 0 {
			return 0
		}
		for _, pid := range marked {
			kill(pid)
		}
		time.Sleep(pause)
	}
	fmt.Fprintln(stderr, "podyard reap: some processes do not end")
	return 1
}

// find returns the processes that have the mark in their environment. One that has ended has none.
func find(proc, mark string) []int {
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "environ"))
	var marked []int
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil || !holds(environment, mark) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			marked = append(marked, pid)
		}
	}
	return marked
}

func holds(environment []byte, mark string) bool {
	for variable := range bytes.SplitSeq(environment, []byte{0}) {
		if string(variable) == mark {
			return true
		}
	}
	return false
}

// kill leaves aside that a process may have ended meanwhile.
func kill(pid int) {
	if process, err := os.FindProcess(pid); err == nil {
		_ = process.Kill()
	}
}
