package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/podyard/podyard/status"
)

// global holds the flags of every command.
type global struct{ dataDir string }

// defaultDataDir is /var/lib/podyard for root, and the user's data directory (XDG Base Directory Specification) else.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/podyard"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "podyard")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "podyard-data"
	}
	return filepath.Join(home, ".local", "share", "podyard")
}

// socket is where the daemon of a data directory listens.
func (g *global) socket() string { return filepath.Join(g.dataDir, "podyard.sock") }

// defaultInstance marks what a daemon makes on the engine unless it is told another name.
const defaultInstance = "podyard"

// recordInstance keeps the instance's name in the data directory, for podyard down.
func (g *global) recordInstance(name string) error {
	if err := os.WriteFile(filepath.Join(g.dataDir, "instance"), []byte(name+"\n"), 0o600); err != nil {
		return fmt.Errorf("record instance: %w", err)
	}
	return nil
}

func (g *global) recordedInstance() string {
	name, err := os.ReadFile(filepath.Join(g.dataDir, "instance"))
	if err != nil {
		return defaultInstance
	}
	return strings.TrimSpace(string(name))
}

func (g *global) client() *status.Client { return status.NewClient(g.socket()) }

// format is the -o flag of a listing.
type format struct{ name string }

func (f *format) flag(c *cobra.Command) {
	c.Flags().StringVarP(&f.name, "output", "o", "", "output format: json")
}

// write prints v as JSON if asked for, and else calls text.
func (f *format) write(w io.Writer, v any, text func() error) error {
	switch f.name {
	case "":
		return text()
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	default:
		return fmt.Errorf("unknown output format %q: leave -o out for text, or say -o json", f.name)
	}
}
