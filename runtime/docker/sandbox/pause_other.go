//go:build linux && !amd64 && !arm64

package sandbox

// binary is empty: no pause was built for this architecture, and executing nothing reports an exec format error.
var binary []byte
