//go:build !unix

package main

import (
	"context"
	"os"

	"github.com/podyard/podyard/status"
)

// windowSizes tells the size of a terminal once: there is no signal when it changes.
func windowSizes(_ context.Context, file *os.File) <-chan status.TerminalSize {
	sizes := make(chan status.TerminalSize, 1)
	if size, ok := windowSize(file); ok {
		sizes <- size
	}
	return sizes
}
