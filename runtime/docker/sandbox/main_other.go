//go:build !linux

package sandbox

import (
	"fmt"
	"os"
)

// Main says that a sandbox is a Linux container.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "podyard sandbox: needs Linux: it runs inside the engine's containers")
	return 1
}
