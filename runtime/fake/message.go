package fake

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Bounds of upstream (pkg/kubelet/container/runtime.go, MaxContainerTerminationMessage…).
const (
	maxMessage    = 4096
	maxLogMessage = 2048
	maxLogLines   = 80
)

// lastWords is the termination message of a container that has just exited.
func lastWords(c *container) string {
	message := ""
	if c.config.TerminationMessagePath != "" {
		message = end(c.program.Message, maxMessage)
	}
	if message != "" || c.exitCode == 0 || c.config.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
		return message
	}
	lines := read(c, 0).lines
	var b strings.Builder
	for _, line := range lines[max(0, len(lines)-maxLogLines):] {
		b.WriteString(line.Text + "\n")
	}
	return end(b.String(), maxLogMessage)
}

func end(text string, limit int) string {
	return strings.ToValidUTF8(text[max(0, len(text)-limit):], "")
}
