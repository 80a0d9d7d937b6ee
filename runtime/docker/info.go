package docker

import "github.com/podyard/podyard/gateway"

// Version is what the engine calls itself, for the status page: "Docker", "28.5.2".
func (e *Engine) Version() (name, version string) { return "Docker", e.facts.version }

// Gateway is what the gateway's agent said of itself. The error says why it does not answer.
func (e *Engine) Gateway() (gateway.Hello, error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	switch {
	case e.link.client != nil:
		return e.link.client.Hello(), nil
	case e.link.err != nil:
		return gateway.Hello{}, e.link.err
	}
	return gateway.Hello{}, errNotEnsured
}

// InfraImage is the image that Ensure made of the running binary; its entry point is podyard.
func (e *Engine) InfraImage() string { return e.ensured().infra }
