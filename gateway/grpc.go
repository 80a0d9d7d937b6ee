package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// A gRPC probe is the call grpc.health.v1.Health/Check with one text out and one number back, so it is made by hand over
// the standard library's HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): the usual library would
// add 1.9 MB and 38 package initialisations to a binary that starts with every pod. Rules and words are those of
// k8s.io/kubernetes/pkg/probe/grpc: no TLS, and only SERVING is success.

const (
	healthCheck = "/grpc.health.v1.Health/Check"
	grpcContent = "application/grpc"
	// dialPause is between two attempts to connect: as gRPC does, they go on until the time is up.
	dialPause = 100 * time.Millisecond
	// serving is HealthCheckResponse.SERVING.
	serving = 1
)

// servingStatus are the names of HealthCheckResponse.ServingStatus.
var servingStatus = map[uint64]string{0: "UNKNOWN", serving: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

// grpcUnimplemented and grpcDeadline are the codes that have words of their own; grpcCodes are the names of all.
const (
	grpcDeadline      = 4
	grpcUnimplemented = 12
)

var grpcCodes = []string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
	"ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
	"DataLoss", "Unauthenticated",
}

// grpcError is a call that the server answered with anything but OK.
type grpcError struct {
	code    int
	message string
}

func (e *grpcError) Error() string {
	name := fmt.Sprintf("Code(%d)", e.code)
	if e.code >= 0 && e.code < len(grpcCodes) {
		name = grpcCodes[e.code]
	}
	return fmt.Sprintf("rpc error: code = %s desc = %s", name, e.message)
}

// check is a grpc probe: ready is what serves.
func (p *ProbeRequest) check(ctx context.Context) ProbeAnswer {
	conn, err := p.dial(ctx)
	if err != nil {
		return ProbeAnswer{Message: fmt.Sprintf("timeout: failed to connect service %q within %v: %v", p.address(), p.timeout(), err)}
	}
	defer conn.Close()
	status, err := p.call(ctx, conn)
	var answered *grpcError
	switch {
	case isOver(ctx), errors.As(err, &answered) && answered.code == grpcDeadline:
		return ProbeAnswer{Message: fmt.Sprintf("timeout: health rpc did not complete within %v", p.timeout())}
	case answered != nil && answered.code == grpcUnimplemented:
		return ProbeAnswer{Message: "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + answered.message}
	case err != nil:
		return ProbeAnswer{Message: "error: health rpc probe failed: " + err.Error()}
	case status != serving:
		return ProbeAnswer{Message: fmt.Sprintf("service unhealthy (responded with %q)", cmp.Or(servingStatus[status], strconv.FormatUint(status, 10)))}
	}
	return ProbeAnswer{OK: true, Message: "service healthy"}
}

// isOver tells that the time is up, although the timer of ctx may not have fired: the server, which knows the deadline, may have
// ended the call by it.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// dial connects, and tries again until ctx ends.
func (p *ProbeRequest) dial(ctx context.Context) (net.Conn, error) {
	for {
		conn, err := probeDialer().DialContext(ctx, "tcp", p.address())
		if err == nil {
			return conn, nil
		}
		if sleep(ctx, dialPause); ctx.Err() != nil {
			return nil, err
		}
	}
}

// call asks over a connection that is for this call alone.
func (p *ProbeRequest) call(ctx context.Context, conn net.Conn) (status uint64, err error) {
	request, err := p.grpcRequest(ctx)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) {
		return conn, nil
	}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeBody))
	if err != nil {
		return 0, err
	}
	if err := grpcStatus(resp); err != nil {
		return 0, err
	}
	return decodeHealth(body)
}

func (p *ProbeRequest) grpcRequest(ctx context.Context) (*http.Request, error) {
	message := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), p.Service)
	// Each message has a byte that says whether it is compressed, and its length, in front of it.
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address()+healthCheck, bytes.NewReader(framed))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", grpcContent)
	request.Header.Set("TE", "trailers")
	request.Header.Set("User-Agent", probeUserAgent)
	if deadline, ok := ctx.Deadline(); ok {
		request.Header.Set("Grpc-Timeout", fmt.Sprintf("%dm", 1+max(time.Until(deadline).Milliseconds(), 0))) // not before ctx ends
	}
	return request, nil
}

// grpcStatus reads the outcome of the call, which is in the trailer, or in the header of an answer that has no body. A
// server that does not speak gRPC has none: its status code stands for one
// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
func grpcStatus(resp *http.Response) error {
	for _, fields := range []http.Header{resp.Trailer, resp.Header} {
		text := fields.Get("Grpc-Status")
		if text == "" {
			continue
		}
		code, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("malformed grpc-status: %w", err)
		}
		if code != 0 {
			return &grpcError{code, fields.Get("Grpc-Message")}
		}
		return nil
	}
	code, known := map[int]int{
		http.StatusBadRequest: 13, http.StatusUnauthorized: 16, http.StatusForbidden: 7, http.StatusNotFound: grpcUnimplemented,
		http.StatusTooManyRequests: 14, http.StatusBadGateway: 14, http.StatusServiceUnavailable: 14, http.StatusGatewayTimeout: 14,
	}[resp.StatusCode]
	if !known {
		code = 2 // Unknown
	}
	return &grpcError{code, fmt.Sprintf("unexpected HTTP status code received from server: %s", resp.Status)}
}

// decodeHealth reads the field status of a HealthCheckResponse; a field with its zero value is left out.
func decodeHealth(body []byte) (status uint64, err error) {
	malformed := errors.New("malformed health response")
	if len(body) < 5 || body[0] != 0 || uint64(binary.BigEndian.Uint32(body[1:5])) != uint64(len(body)-5) {
		return 0, malformed
	}
	for rest := body[5:]; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return 0, malformed
		}
		rest = rest[n:]
		if number == 1 && kind == protowire.VarintType {
			status, _ = protowire.ConsumeVarint(rest)
		}
		if n = protowire.ConsumeFieldValue(number, kind, rest); n < 0 {
			return 0, malformed
		}
		rest = rest[n:]
	}
	return status, nil
}
