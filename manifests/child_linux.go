package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// executable is the program that runs, also after its file was replaced by an upgrade.
func executable() (string, error) { return "/proc/self/exe", nil }

// isolations are the ways of taking the network away, the best first; the last always works.
var isolations = []uintptr{unix.CLONE_NEWNET, unix.CLONE_NEWUSER | unix.CLONE_NEWNET, 0}

// isolation is the first of them that the kernel has not refused yet.
var isolation atomic.Int32

// runFenced runs the child: no environment (and so no PATH), no network if the kernel allows it, dead when we are.
func runFenced(ctx context.Context, command []string, input []byte, out, errOut *bounded) error {
	runtime.LockOSThread() // Pdeathsig is about the thread that started the child
	defer runtime.UnlockOSThread()
	for {
		level := isolation.Load()
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env, cmd.Dir = []string{}, "/"
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), out, errOut
		cmd.WaitDelay = time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: isolations[level], Setsid: true}
		err := cmd.Start()
		if err == nil {
			return waitFor(cmd)
		}
		if int(level) == len(isolations)-1 || !isolationRefused(err) {
			return err
		}
		isolation.CompareAndSwap(level, level+1)
	}
}

// waitFor ignores that the child ended without reading all its input: its own exit says why.
func waitFor(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if errors.Is(err, syscall.EPIPE) && !cmd.ProcessState.Success() {
		return &exec.ExitError{ProcessState: cmd.ProcessState}
	}
	return err
}

func isolationRefused(err error) bool {
	for _, refusal := range []error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSPC, unix.ENOSYS, unix.EUSERS} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// fenceSelf limits this process for good, before it reads its input. RLIMIT_DATA counts what Go really maps, unlike
// RLIMIT_AS, which counts its reservations too.
func fenceSelf(args []string) error {
	memory, cpu, err := childLimits(args)
	if err != nil {
		return err
	}
	for _, limit := range []struct {
		name          string
		resource      int
		current, most uint64
	}{
		{"memory", unix.RLIMIT_DATA, memory, memory},
		{"CPU time", unix.RLIMIT_CPU, cpu, cpu + 1},
		{"file size", unix.RLIMIT_FSIZE, 0, 0},
		{"core size", unix.RLIMIT_CORE, 0, 0},
		{"open files", unix.RLIMIT_NOFILE, 16, 16},
	} {
		if err := syscall.Setrlimit(limit.resource, &syscall.Rlimit{Cur: limit.current, Max: limit.most}); err != nil {
			return fmt.Errorf("limit %s: %w", limit.name, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return dropRoot()
}

// nobody is the user that owns nothing.
const nobody = 65534

// dropRoot gives root away. That clears the death signal, which is asked for again.
func dropRoot() error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups([]int{}) },
		func() error { return syscall.Setgid(nobody) },
		func() error { return syscall.Setuid(nobody) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("give up root: %w", err)
		}
	}
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
}
