//go:build !linux

package gateway

import (
	"context"
	"net"
	"syscall"
)

// The agent runs on Linux only; elsewhere sockets keep their defaults, so that the package compiles for the daemon.

func lingerShortly(string, string, syscall.RawConn) error { return nil }

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
}

func listenUDP(ctx context.Context, address string) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, "udp4", address)
}
