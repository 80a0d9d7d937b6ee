//go:build !linux

package publisher

import (
	"fmt"
	"os"
)

// Main says that a publication is a Linux container.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "podyard publish: needs Linux: it runs inside the engine's containers")
	return 1
}
