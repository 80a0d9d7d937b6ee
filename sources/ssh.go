package sources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/proxy"
)

// sshSession runs git-upload-pack on a server. go-git's own ssh transport ignores ctx until the handshake is over, so a
// silent server would hold a goroutine and a connection for ever.
type sshSession struct {
	conn   net.Conn
	client *ssh.Client
	run    *ssh.Session
	in     io.WriteCloser
	out    io.Reader
	stderr *tail
	adv    *packp.AdvRefs
	stop   func() bool
}

// dialSSH connects, authenticates and starts git-upload-pack. The connection is closed when ctx ends.
func dialSSH(ctx context.Context, u repoURL) (session, error) {
	address, user := sshTarget(u)
	login, err := newLogin(user, address)
	if err != nil {
		return nil, err
	}
	defer login.close()
	conn, err := proxy.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	s := &sshSession{conn: conn, stderr: &tail{}}
	s.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if err := s.start(login, address, u.path); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *sshSession) start(login *login, address, path string) error {
	c, channels, requests, err := ssh.NewClientConn(s.conn, address, login.config)
	if err != nil {
		return login.explain(err)
	}
	s.client = ssh.NewClient(c, channels, requests)
	if s.run, err = s.client.NewSession(); err != nil {
		return fmt.Errorf("open ssh session: %w", err)
	}
	s.run.Stderr = s.stderr
	if s.in, err = s.run.StdinPipe(); err != nil {
		return err
	}
	if s.out, err = s.run.StdoutPipe(); err != nil {
		return err
	}
	if err := s.run.Start("git-upload-pack " + shellQuote(path)); err != nil {
		return fmt.Errorf("start git-upload-pack: %w", err)
	}
	return nil
}

// AdvertisedReferencesContext implements session; ctx is that of dialSSH.
func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	adv := packp.NewAdvRefs()
	err := adv.Decode(io.LimitReader(s.out, maxAdvertisement))
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && adv.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case err != nil:
		return nil, s.explain(err)
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	s.adv = adv
	return adv, nil
}

// explain prefers what git said on the server's standard error.
func (s *sshSession) explain(err error) error {
	s.in.Close()
	s.run.Wait()
	said := s.stderr.String()
	for _, phrase := range []string{"does not appear to be a git repository", "not found", "does not exist", "could not be found", "no such repository"} {
		if strings.Contains(strings.ToLower(said), phrase) {
			return fmt.Errorf("%w: %s", transport.ErrRepositoryNotFound, said)
		}
	}
	if said != "" {
		return fmt.Errorf("the server says: %s", said)
	}
	return fmt.Errorf("read refs: %w", err)
}

// UploadPack implements session.
func (s *sshSession) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	var request bytes.Buffer
	if err := req.UploadRequest.Encode(&request); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	// No flush between haves and done: it would draw an answer of its own, for which go-git's decoder is not made.
	if err := req.UploadHaves.Encode(&request, false); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	request.WriteString("0009done\n")
	if _, err := s.in.Write(request.Bytes()); err != nil {
		return nil, s.explain(err)
	}
	if err := s.in.Close(); err != nil {
		return nil, s.explain(err)
	}
	answer := packp.NewUploadPackResponse(req)
	if err := answer.Decode(io.NopCloser(s.out)); err != nil {
		return nil, s.explain(err)
	}
	return answer, nil
}

// Close ends the conversation, whatever state it is in.
func (s *sshSession) Close() error {
	s.stop()
	if s.in != nil {
		// A flush is the polite "no, thank you" to an advertisement.
		io.WriteString(s.in, "0000")
		s.in.Close()
	}
	if s.client != nil {
		s.client.Close()
	}
	return s.conn.Close()
}

// sshTarget applies what ~/.ssh/config says of the host: HostName, Port and User.
func sshTarget(u repoURL) (address, user string) {
	host, port, user := u.host, u.port, u.user
	if gitssh.DefaultSSHConfig != nil {
		if name := gitssh.DefaultSSHConfig.Get(u.host, "Hostname"); name != "" {
			host = name
		}
		if n, err := strconv.Atoi(gitssh.DefaultSSHConfig.Get(u.host, "Port")); err == nil && port == 0 {
			port = n
		}
		if user == "" {
			user = gitssh.DefaultSSHConfig.Get(u.host, "User")
		}
	}
	if port == 0 {
		port = 22
	}
	if user == "" {
		user = "git"
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), user
}

// shellQuote is git's sq_quote_buf: in single quotes, with ' and ! outside of them. The server's shell, or git-shell,
// reads it back (CVE-2026-45570).
func shellQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range []byte(s) {
		if c == '\'' || c == '!' {
			b.WriteString(`'\` + string(rune(c)) + `'`)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// tail keeps the beginning of what a server writes to standard error; it may be written and read at the same time.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := maxErrorText - len(t.text); room > 0 {
		t.text = append(t.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// String is the text on one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(printable(string(t.text))), " ")
}
