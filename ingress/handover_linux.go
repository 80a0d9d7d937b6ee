//go:build linux

package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An agent that starts beside another takes over its listening sockets themselves: connections that wait in them are lost to
// nobody, whoever of the two closes first. They are passed through a socket in the abstract namespace, which belongs to the
// network namespace, and so to the agents alone. Where the other does not answer, ports are shared (SO_REUSEPORT).

// handoverTimeout is how long the other agent may take.
const handoverTimeout = 2 * time.Second

// handoverName is the socket's, of these addresses.
func handoverName(addresses []string) string {
	return "@podyard-ingress " + strings.Join(addresses, " ")
}

// listen returns the listeners of the addresses: another agent's, or new ones.
func listen(ctx context.Context, addresses []string) ([]net.Listener, error) {
	if taken, err := takeOver(addresses); err == nil {
		return taken, nil
	}
	config := net.ListenConfig{Control: reusePort}
	var listeners []net.Listener
	for _, address := range addresses {
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			closeAll(listeners)
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func reusePort(_, _ string, raw syscall.RawConn) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return errors.Join(controlErr, err)
}

// takeOver asks the agent that runs beside this one for its listeners.
func takeOver(addresses []string) ([]net.Listener, error) {
	conn, err := net.DialTimeout("unix", handoverName(addresses), handoverTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(handoverTimeout)); err != nil {
		return nil, err
	}
	control := make([]byte, unix.CmsgSpace(4*len(addresses)))
	_, n, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), control)
	if err != nil {
		return nil, err
	}
	descriptors, err := descriptorsIn(control[:n])
	if err != nil {
		return nil, err
	}
	listeners, err := listenersOf(descriptors)
	if err == nil && len(listeners) != len(addresses) {
		err = fmt.Errorf("%d sockets were handed over, not %d", len(listeners), len(addresses))
	}
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	return listeners, nil
}

func descriptorsIn(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var descriptors []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		descriptors = append(descriptors, got...)
	}
	return descriptors, nil
}

func listenersOf(descriptors []int) ([]net.Listener, error) {
	var listeners []net.Listener
	var errs error
	for _, fd := range descriptors {
		unix.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "listener")
		listener, err := net.FileListener(file)
		file.Close()
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		listeners = append(listeners, listener)
	}
	return listeners, errs
}

// handOver gives the listeners to whoever asks, until ctx ends. The name may be the earlier agent's still: it is tried until it
// is free.
func handOver(ctx context.Context, addresses []string, listeners []net.Listener) {
	for ctx.Err() == nil {
		door, err := net.Listen("unix", handoverName(addresses))
		if err != nil {
			pause(ctx, time.Second)
			continue
		}
		stop := context.AfterFunc(ctx, func() { door.Close() })
		for {
			conn, err := door.Accept()
			if err != nil {
				break
			}
			_ = pass(conn.(*net.UnixConn), listeners)
			conn.Close()
		}
		stop()
		door.Close()
	}
}

// pass sends copies of the listeners' descriptors.
func pass(conn *net.UnixConn, listeners []net.Listener) error {
	if err := conn.SetDeadline(time.Now().Add(handoverTimeout)); err != nil {
		return err
	}
	var descriptors []int
	defer func() {
		for _, fd := range descriptors {
			unix.Close(fd)
		}
	}()
	for _, listener := range listeners {
		fd, err := duplicate(listener)
		if err != nil {
			return err
		}
		descriptors = append(descriptors, fd)
	}
	_, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(descriptors...), nil)
	return err
}

// duplicate copies a listener's descriptor. net.TCPListener.File would make the socket blocking, this agent's end included.
func duplicate(listener net.Listener) (fd int, err error) {
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(original uintptr) { fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(controlErr, err)
}
