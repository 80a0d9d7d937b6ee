package sandbox

import _ "embed"

//go:embed pause/pause_linux_arm64
var binary []byte
