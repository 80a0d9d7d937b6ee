package ingress

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcEcho is a server that sends back every message of every method, then a trailer and, to "fail", an error.
func grpcEcho(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer(append(options, grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		stream.SetTrailer(metadata.Pairs("sum", "42"))
		for {
			var message wrapperspb.StringValue
			if err := stream.RecvMsg(&message); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if message.Value == "fail" {
				return status.Error(codes.AlreadyExists, "as asked")
			}
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}))...)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// grpcClient connects to the lab.
func (l *lab) grpcClient(address string, how credentials.TransportCredentials) *grpc.ClientConn {
	l.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(how), grpc.WithContextDialer(
		func(ctx context.Context, address string) (net.Conn, error) { return l.dial(ctx, "tcp", address) }))
	must(l.t, err)
	l.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestGRPCIsStreamedBothWaysWithItsTrailers(t *testing.T) {
	l := newLab(t)
	certificate, err := selfSigned(time.Now())
	must(t, err)
	h2c := "kubernetes.io/h2c"
	l.service("plain", grpcEcho(t)).Spec.Ports[0].AppProtocol = &h2c
	l.service("tls", grpcEcho(t, grpc.Creds(credentials.NewServerTLSFromCert(certificate))))
	l.ingress("plain", "plain.test/ plain")
	l.ingress("tls", "tls.test/ tls").Annotations["nginx.ingress.kubernetes.io/backend-protocol"] = "GRPCS"
	l.apply()
	for _, conn := range []*grpc.ClientConn{
		l.grpcClient("plain.test:443", credentials.NewTLS(insecureTLS())), l.grpcClient("plain.test:80", insecure.NewCredentials()),
		l.grpcClient("tls.test:443", credentials.NewTLS(insecureTLS())),
	} {
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Echo/Both")
		must(t, err)
		for i := range 5 {
			must(t, stream.SendMsg(wrapperspb.String(fmt.Sprint(i))))
			var answer wrapperspb.StringValue
			if err := stream.RecvMsg(&answer); err != nil || answer.Value != fmt.Sprint(i) {
				t.Fatalf("%s: %q, %v", conn.Target(), answer.Value, err)
			}
		}
		must(t, stream.CloseSend())
		var none wrapperspb.StringValue
		if err := stream.RecvMsg(&none); err != io.EOF || len(stream.Trailer()["sum"]) != 1 {
			t.Errorf("%s: at the end %v, trailer %v", conn.Target(), err, stream.Trailer())
		}
		var answer wrapperspb.StringValue
		if err := conn.Invoke(t.Context(), "/test.Echo/One", wrapperspb.String("fail"), &answer); status.Code(err) != codes.AlreadyExists {
			t.Errorf("%s: an error became %v", conn.Target(), err)
		}
	}
	// Without an endpoint gRPC clients see that they may try again.
	l.slices = nil
	l.apply()
	conn := l.grpcClient("plain.test:443", credentials.NewTLS(insecureTLS()))
	var answer wrapperspb.StringValue
	if err := conn.Invoke(t.Context(), "/test.Echo/One", wrapperspb.String("x"), &answer); status.Code(err) != codes.Unavailable {
		t.Errorf("without an endpoint: %v", err)
	}
}
