package sandbox

import (
	"fmt"
	"os"
)

// makeMessages makes the files in which containers leave their termination messages. They are for every user, as upstream's
// (makeMounts in pkg/kubelet/kuberuntime/kuberuntime_container.go), and keep what is in them when the sandbox restarts.
func (c *config) makeMessages() error {
	for _, path := range c.messages {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return fmt.Errorf("make file for a termination message: %w", err)
		}
		defer file.Close()
		if err := file.Chmod(0o666); err != nil { // the umask took some away
			return fmt.Errorf("make file for a termination message: %w", err)
		}
	}
	return nil
}
