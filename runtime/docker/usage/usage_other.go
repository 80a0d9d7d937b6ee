//go:build !linux

package usage

import (
	"fmt"
	"io"
)

// Main runs in containers only, and those are Linux.
func Main(_ []string, _ io.Reader, _, stderr io.Writer) int {
	fmt.Fprintln(stderr, "podyard volume-usage: this needs Linux")
	return 1
}
