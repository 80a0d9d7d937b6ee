package sandbox

import _ "embed"

//go:embed pause/pause_linux_amd64
var binary []byte
