package sandbox

import (
	"fmt"
	"os"
	"strings"
)

// hostsFile is this pod's own file, also in the host's network, where Docker fills it with a copy of the host's. It makes
// it anew at each start and shares it with the containers that join.
const hostsFile = "/etc/hosts"

// addAliases appends hostAliases as the kubelet writes them (hostsEntriesFromHostAliases in pkg/kubelet/kubelet_pods.go).
func (c *config) addAliases(path string) error {
	if len(c.aliases) == 0 {
		return nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("add host aliases: %w", err)
	}
	defer file.Close()
	text := "\n# Entries added by HostAliases.\n"
	for _, alias := range c.aliases {
		text += strings.ReplaceAll(alias, ",", "\t") + "\n"
	}
	if _, err := file.WriteString(text); err != nil {
		return fmt.Errorf("add host aliases: %w", err)
	}
	return nil
}
