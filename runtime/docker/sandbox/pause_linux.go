package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The embedded pause is built from pause/pause.c by gcc 12; the flags are explained there.
//
//go:generate gcc -Os -static -nostdlib -nostartfiles -ffreestanding -fno-pie -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fno-ident -fcf-protection=none -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-s -o pause/pause_linux_amd64 pause/pause.c
//go:generate aarch64-linux-gnu-gcc -Os -static -nostdlib -nostartfiles -ffreestanding -fno-pie -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fno-ident -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,-s -o pause/pause_linux_arm64 pause/pause.c

// pauseFile is where the pause goes on a host that lets nobody execute from a memfd (vm.memfd_noexec=2).
const pauseFile = "/.pause"

// Pause replaces this process by the embedded pause. It returns only on failure.
func Pause() error {
	memfd, err := memfile("pause", binary)
	if err == nil {
		err = execute(fmt.Sprintf("/proc/self/fd/%d", memfd))
	}
	if writeErr := os.WriteFile(pauseFile, binary, 0o755); writeErr != nil {
		return fmt.Errorf("execute pause: %w", errors.Join(err, writeErr))
	}
	return fmt.Errorf("execute pause: %w", errors.Join(err, execute(pauseFile)))
}

// memfile returns an open executable file that has no name in any file system and closes itself on exec. Kernels
// before 6.3 do not know MFD_EXEC; theirs are always executable.
func memfile(name string, content []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, fmt.Errorf("create memfd: %w", err)
	}
	for len(content) > 0 {
		n, err := unix.Write(fd, content)
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("write memfd: %w", err)
		}
		content = content[n:]
	}
	return fd, nil
}

// execute replaces this process, with an empty environment.
func execute(path string) error {
	return unix.Exec(path, []string{"/pause"}, nil)
}
