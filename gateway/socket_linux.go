package gateway

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// lingerShortly makes close reset the connection after one second, as the kubelet's ProbeDialer does.
func lingerShortly(_, _ string, c syscall.RawConn) error {
	return onSocket(c, func(fd int) error {
		return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 1})
	})
}

// reusePort lets the next agent listen where this one still does.
func reusePort(_, _ string, c syscall.RawConn) error {
	return onSocket(c, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
}

// onSocket sets an option and returns whichever error there was.
func onSocket(c syscall.RawConn, set func(fd int) error) error {
	var setErr error
	if err := c.Control(func(fd uintptr) { setErr = set(int(fd)) }); err != nil {
		return err
	}
	return setErr
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{Control: reusePort}).Listen(ctx, "tcp4", address)
}

func listenUDP(ctx context.Context, address string) (net.PacketConn, error) {
	return (&net.ListenConfig{Control: reusePort}).ListenPacket(ctx, "udp4", address)
}
