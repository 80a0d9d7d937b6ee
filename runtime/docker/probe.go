package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime"
)

// maxMessage is what of a probe's answer is kept, in bytes; noTimeout bounds a probe whose ctx has no deadline.
const (
	maxMessage = 1024
	noTimeout  = time.Minute
)

// Probe implements runtime.Streams. An exec handler runs in the container, the others are asked by the gateway, which is
// in the pod network.
func (e *Engine) Probe(ctx context.Context, pod *runtime.Pod, containerID string, handler corev1.ProbeHandler) (runtime.ProbeResult, error) {
	c, err := e.known(ctx, containerID, roleContainer)
	if err != nil {
		return runtime.ProbeResult{}, err
	}
	if !c.running {
		return runtime.ProbeResult{}, fmt.Errorf("probe %s: it does not run", c.object())
	}
	if handler.Exec != nil {
		result, err := e.probeExec(ctx, containerID, handler.Exec.Command)
		return result, wrap("probe", c.object(), err)
	}
	request, err := probeRequest(ctx, pod.IP, handler)
	if err != nil {
		return runtime.ProbeResult{}, fmt.Errorf("probe %s: %w", c.object(), err)
	}
	client, err := e.link.get(ctx)
	if err != nil {
		return runtime.ProbeResult{}, fmt.Errorf("probe %s: %w", c.object(), err)
	}
	ok, message, err := client.Probe(ctx, request)
	return runtime.ProbeResult{OK: ok, Message: clip(message)}, wrap("probe", c.object(), err)
}

// probeExec: exit code 0 is success, anything else and running out of time a failure (pkg/probe/exec/exec.go).
func (e *Engine) probeExec(ctx context.Context, id string, command []string) (runtime.ProbeResult, error) {
	output := &clipped{}
	code, err := e.exec(ctx, id, command, output, output)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return runtime.ProbeResult{Message: "command timed out"}, nil
	case err != nil:
		return runtime.ProbeResult{}, err
	case code == 0:
		return runtime.ProbeResult{OK: true, Message: clip(output.String())}, nil
	}
	return runtime.ProbeResult{Message: clip(fmt.Sprintf("exit code %d: %s", code, strings.TrimSpace(output.String())))}, nil
}

// clipped keeps the beginning of an output and counts the rest as written.
type clipped struct{ bytes.Buffer }

func (c *clipped) Write(data []byte) (int, error) {
	keep := min(len(data), maxMessage-c.Len())
	c.Buffer.Write(data[:keep])
	return len(data), nil
}

// clip keeps 1 KiB and no half of a character.
func clip(message string) string {
	return strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
}

// probeRequest is upstream's reading of httpGet, tcpSocket and grpc (pkg/probe/http/request.go,
// pkg/kubelet/prober/prober.go): the pod's address unless a host is given, HTTP unless a scheme is.
func probeRequest(ctx context.Context, podIP string, handler corev1.ProbeHandler) (gateway.ProbeRequest, error) {
	request := gateway.ProbeRequest{Host: podIP, Timeout: noTimeout}
	if deadline, ok := ctx.Deadline(); ok {
		// A little less, so that the answer "no answer" arrives in time: an error would be about us, not the container.
		request.Timeout = max(time.Until(deadline)*95/100, 1)
	}
	switch {
	case handler.HTTPGet != nil:
		get := handler.HTTPGet
		request.Scheme = "http"
		if get.Scheme != "" {
			request.Scheme = strings.ToLower(string(get.Scheme))
		}
		request.Port, request.Path = int32(get.Port.IntValue()), get.Path
		if get.Host != "" {
			request.Host = get.Host
		}
		for _, h := range get.HTTPHeaders {
			request.Headers = append(request.Headers, gateway.Header{Name: h.Name, Value: h.Value})
		}
	case handler.TCPSocket != nil:
		request.Scheme, request.Port = "tcp", int32(handler.TCPSocket.Port.IntValue())
		if handler.TCPSocket.Host != "" {
			request.Host = handler.TCPSocket.Host
		}
	case handler.GRPC != nil:
		request.Scheme, request.Port = "grpc", handler.GRPC.Port
		if handler.GRPC.Service != nil {
			request.Service = *handler.GRPC.Service
		}
	default:
		return request, fmt.Errorf("this kind of probe is not supported: %w", runtime.ErrInvalid)
	}
	return request, nil
}
