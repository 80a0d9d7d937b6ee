package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/runtime"
)

// Probe implements runtime.Streams.
func (e *Engine) Probe(ctx context.Context, _ *runtime.Pod, containerID string, handler corev1.ProbeHandler) (runtime.ProbeResult, error) {
	if handler.Exec != nil {
		return e.probeExec(ctx, containerID, handler)
	}
	var failure string
	err := e.do(ctx, "Probe", containerID, func() error {
		c, err := e.running(containerID)
		if err == nil {
			failure = probe(c, handler)
		}
		return err
	})
	return result(failure, err)
}

// probeExec believes a command that is known; any other answers by the program's age.
func (e *Engine) probeExec(ctx context.Context, id string, handler corev1.ProbeHandler) (runtime.ProbeResult, error) {
	answer, known, _, err := e.exec(ctx, "Probe", id, handler.Exec.Command)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return runtime.ProbeResult{Message: "timed out"}, nil
	case err != nil:
		return runtime.ProbeResult{}, err
	case known && answer.Code == 0:
		return runtime.ProbeResult{OK: true}, nil
	case known:
		return runtime.ProbeResult{Message: clip(fmt.Sprintf("exit code %d: %s%s", answer.Code, answer.Stdout, answer.Stderr))}, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.running(id)
	if err != nil {
		return runtime.ProbeResult{}, err
	}
	return result(probe(c, handler), nil)
}

func result(failure string, err error) (runtime.ProbeResult, error) {
	if err != nil {
		return runtime.ProbeResult{}, err
	}
	return runtime.ProbeResult{OK: failure == "", Message: clip(failure)}, nil
}

// clip keeps a message within the 1 KiB that the contract allows.
func clip(message string) string { return message[:min(len(message), 1024)] }

// probe returns why the program fails the probe now, or "".
func probe(c *container, handler corev1.ProbeHandler) string {
	age, p := now().Sub(c.started), c.program
	if p.Answer != nil {
		return p.Answer(age, handler)
	}
	if stranded(c) && handler.Exec == nil {
		return "connect: no route to host"
	}
	if port := portOf(handler); port != nil && p.Ports != nil && !slices.Contains(p.Ports, port.IntValue()) {
		return fmt.Sprintf("connect to port %s: connection refused", port)
	}
	switch {
	case age < p.ReadyAfter:
		return refusal(handler, 503)
	case p.LiveUntil > 0 && age >= p.LiveUntil:
		return refusal(handler, 500)
	case handler.HTTPGet != nil:
		return status(p, handler.HTTPGet.Path)
	}
	return ""
}

// stranded tells that the container has lost its network: its sandbox stopped after it started.
func stranded(c *container) bool {
	return c.sandbox.phase != runtime.Running || c.started.Before(c.sandbox.started)
}

func portOf(handler corev1.ProbeHandler) *intstr.IntOrString {
	switch {
	case handler.HTTPGet != nil:
		return &handler.HTTPGet.Port
	case handler.TCPSocket != nil:
		return &handler.TCPSocket.Port
	case handler.GRPC != nil:
		return new(intstr.FromInt32(handler.GRPC.Port))
	}
	return nil
}

// refusal words a failure as the kubelet's probers do (pkg/probe/http, tcp, grpc).
func refusal(handler corev1.ProbeHandler, code int) string {
	switch {
	case handler.HTTPGet != nil:
		return fmt.Sprintf("HTTP probe failed with statuscode: %d", code)
	case handler.TCPSocket != nil:
		return "connection refused"
	case handler.GRPC != nil:
		return `service unhealthy (responded with "NOT_SERVING")`
	}
	return "exit code 1"
}

func status(p Program, path string) string {
	code, known := p.Paths[path]
	switch {
	case p.Paths == nil:
		return ""
	case !known:
		code = 404
	}
	if code >= 200 && code < 400 {
		return ""
	}
	return fmt.Sprintf("HTTP probe failed with statuscode: %d", code)
}
