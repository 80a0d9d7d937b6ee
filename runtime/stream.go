package runtime

import (
	"io"
	"time"
)

// ProbeResult is the answer to one probe.
type ProbeResult struct {
	OK bool
	// Message is the output or the reason of a failure, at most 1 KiB.
	Message string
}

// LogOptions say which part of a container's log is wanted.
type LogOptions struct {
	Follow     bool
	Timestamps bool
	// Tail is the number of last lines; negative for all.
	Tail  int
	Since time.Time
}

// Credential is a login of a registry.
type Credential struct {
	// Registry as it is written in a dockerconfigjson Secret: "registry.example.com", "https://index.docker.io/v1/",
	// "*.example.com/team". Never print the rest.
	Registry                     string
	Username, Password           string
	IdentityToken, RegistryToken string
}

// ExecOptions say what to run in a container.
type ExecOptions struct {
	Command []string
	// Stdin may be nil; a read of it may be under way still when Exec returns. TTY gives the command a terminal, as large
	// as Resize says; its output is all stdout then.
	Stdin  io.Reader
	TTY    bool
	Resize <-chan TerminalSize
}

// AttachOptions say how to connect to a container's main process.
type AttachOptions struct {
	// Stdin may be nil; a read of it may be under way still when Attach returns.
	Stdin  io.Reader
	Resize <-chan TerminalSize
	// Logs asks for what the container has written so far, before what it writes from now on.
	Logs bool
}

// TerminalSize is a terminal's, in characters.
type TerminalSize struct{ Width, Height uint16 }
