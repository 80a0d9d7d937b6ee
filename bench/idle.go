package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// idle watches the daemon with n pods that do nothing.
func (y *yard) idle(ctx context.Context, n int, d time.Duration) error {
	if err := y.commit(ctx, n, "idle"); err != nil {
		return err
	}
	if err := y.awaitReady(ctx); err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // let it come to rest
	before, err := y.cpu()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
	}
	after, err := y.cpu()
	if err != nil {
		return err
	}
	rss, err := y.rss()
	if err != nil {
		return err
	}
	fmt.Printf("\nidle daemon, %d pods, %v: %.2f %% of a core, %.1f MiB RSS\n", n, d, 100*(after-before).Seconds()/d.Seconds(), rss)
	return nil
}

// cpu is the daemon's user and system time so far, from /proc/PID/stat (proc(5)): ticks of 10 ms.
func (y *yard) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", y.daemon.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// rss is the daemon's resident memory in MiB.
func (y *yard) rss() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", y.daemon.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS")
}
