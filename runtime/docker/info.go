package docker

import (
	"context"
	"time"
)

// Version is what the engine calls itself, for the status page: "Docker", "28.5.2".
func (e *Engine) Version() (name, version string) { return "Docker", e.facts.version }

// Backend names what routes Services, nftables or userspace; empty while the gateway's agent is away.
func (e *Engine) Backend() string {
	ctx, cancel := context.WithTimeout(e.life, time.Millisecond)
	defer cancel()
	client, err := e.link.get(ctx)
	if err != nil {
		return ""
	}
	return client.Hello().Backend
}

// InfraImage is the image that Ensure made of the running binary; its entry point is podyard.
func (e *Engine) InfraImage() string { return e.ensured().infra }
