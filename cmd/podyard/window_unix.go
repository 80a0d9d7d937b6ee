//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/podyard/podyard/status"
)

// windowSizes tells the size of a terminal, now and whenever it changes, until ctx ends.
func windowSizes(ctx context.Context, file *os.File) <-chan status.TerminalSize {
	changes := make(chan os.Signal, 1)
	changes <- syscall.SIGWINCH
	signal.Notify(changes, syscall.SIGWINCH)
	sizes := make(chan status.TerminalSize)
	go func() {
		defer signal.Stop(changes)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changes:
			}
			size, ok := windowSize(file)
			if !ok {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case sizes <- size:
			}
		}
	}()
	return sizes
}
