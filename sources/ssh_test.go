package sources

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshServer accepts one key and runs what is asked for by a shell, as sshd does.
type sshServer struct {
	address string
	host    ssh.Signer
	mu      sync.Mutex
	ran     []string
}

func newKey(t testing.TB) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

// serveSSH starts a server; HOME is a new directory without keys and known hosts.
func serveSSH(t testing.TB, accepted ssh.PublicKey) *sshServer {
	t.Helper()
	_, host := newKey(t)
	s := &sshServer{host: host}
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "git" || accepted == nil || string(key.Marshal()) != string(accepted.Marshal()) {
			return nil, errors.New("no")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	s.address = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.handle(conn, config)
		}
	}()
	return s
}

func (s *sshServer) handle(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			r.Reply(r.Type == "exec", nil)
			if r.Type == "exec" {
				s.exec(channel, string(r.Payload[4:]))
				break
			}
		}
	}
}

func (s *sshServer) exec(channel ssh.Channel, command string) {
	s.mu.Lock()
	s.ran = append(s.ran, command)
	s.mu.Unlock()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env, cmd.Stdout, cmd.Stderr = gitEnv(), channel, channel.Stderr()
	in, _ := cmd.StdinPipe()
	go func() {
		io.Copy(in, channel)
		in.Close()
	}()
	status := byte(0)
	if cmd.Run() != nil {
		status = 128
	}
	channel.SendRequest("exit-status", false, []byte{0, 0, 0, status})
	channel.Close()
}

// home makes a home directory that knows the server's key, unless it is nil, and has the client's key.
func home(t testing.TB, s *sshServer, hostKey ssh.PublicKey, key ed25519.PrivateKey) {
	t.Helper()
	dir := t.TempDir()
	if st, ok := t.(*testing.T); ok {
		st.Setenv("HOME", dir)
		st.Setenv("SSH_AUTH_SOCK", "")
		st.Setenv("SSH_KNOWN_HOSTS", "")
	}
	if hostKey != nil {
		write(t, filepath.Join(dir, ".ssh/known_hosts"), knownhosts.Line([]string{knownhosts.Normalize(s.address)}, hostKey)+"\n")
	}
	if key != nil {
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, ".ssh/id_ed25519"), string(pem.EncodeToMemory(block)))
	}
}

func TestRepositoryBySSH(t *testing.T) {
	key, signer := newKey(t)
	s := serveSSH(t, signer.PublicKey())
	home(t, s, s.host.PublicKey(), key)
	repo := newRepo(t)
	for i := range 60 {
		commit(t, repo, "app.yaml", fmt.Sprint(i))
	}
	src := open(t, t.TempDir(), Options{URL: "ssh://git@" + s.address + repo})
	if want := "ssh://git@" + s.address + repo; src.String() != want {
		t.Errorf("String() = %s, want %s", src, want)
	}
	first := fetch(t, src)
	wantFile(t, first, "app.yaml", "59")
	if fetch(t, src) != first {
		t.Error("a fetch without news returned another artifact")
	}
	for i := range 3 {
		head := commit(t, repo, "app.yaml", fmt.Sprint("more ", i))
		a := fetch(t, src)
		wantCommit(t, a, head)
		wantFile(t, a, "app.yaml", fmt.Sprint("more ", i))
	}
	git(t, repo, "checkout", "-q", "--orphan", "other")
	commit(t, repo, "app.yaml", "unrelated")
	git(t, repo, "branch", "-qM", "other", "main")
	wantFile(t, fetch(t, src), "app.yaml", "unrelated")
}

func TestSSHPathIsQuotedForTheServersShell(t *testing.T) {
	key, signer := newKey(t)
	s := serveSSH(t, signer.PublicKey())
	home(t, s, s.host.PublicKey(), key)
	marker := filepath.Join(t.TempDir(), "marker")
	odd := filepath.Join(t.TempDir(), "it's; touch $(echo "+strings.ReplaceAll(marker, "/", "_")+") `id` !x \"q\".git")
	git(t, newRepo(t), "clone", "-q", "--bare", ".", odd)
	u := mustParse(t, "ssh://git@"+s.address+"/x")
	u.path = odd
	src := newGitSource(t.TempDir(), u, "", time.Minute, &remote{url: u})
	wantFile(t, fetch(t, src), "app.yaml", "one")
	for _, hostile := range []string{"/x'; touch " + marker + "; '", "/$(touch " + marker + ")", "/`touch " + marker + "`"} {
		u.path = hostile
		fetchError(t, newGitSource(t.TempDir(), u, "", time.Minute, &remote{url: u}), "")
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the server ran a command from the path")
	}
}

func TestKeyOfTheAgent(t *testing.T) {
	key, signer := newKey(t)
	s := serveSSH(t, signer.PublicKey())
	home(t, s, s.host.PublicKey(), nil)
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	wantFile(t, fetch(t, open(t, t.TempDir(), Options{URL: "ssh://git@" + s.address + newRepo(t)})), "app.yaml", "one")
}

func TestSSHErrorsSayWhatToDo(t *testing.T) {
	key, signer := newKey(t)
	otherKey, other := newKey(t)
	s := serveSSH(t, signer.PublicKey())
	repo := newRepo(t)
	empty := t.TempDir()
	git(t, empty, "init", "-q", "--bare")
	_, port, _ := net.SplitHostPort(s.address)
	cases := []struct {
		name  string
		setup func(t *testing.T)
		path  string
		kind  error
		want  []string
	}{
		{"no key", func(t *testing.T) { home(t, s, s.host.PublicKey(), nil) }, repo, ErrAuth,
			[]string{"no ssh key to log in with", "~/.ssh/id_ed25519"}},
		{"no known_hosts", func(t *testing.T) { home(t, s, nil, key) }, repo, ErrAuth,
			[]string{"no known_hosts file", "ssh-keyscan -p " + port + " 127.0.0.1 >> ~/.ssh/known_hosts"}},
		{"unknown host", func(t *testing.T) {
			home(t, &sshServer{address: "127.0.0.1:1"}, s.host.PublicKey(), key)
		}, repo, ErrAuth, []string{"is not known", ssh.FingerprintSHA256(s.host.PublicKey()), "ssh-keyscan -p " + port}},
		{"changed host key", func(t *testing.T) { home(t, s, other.PublicKey(), key) }, repo, ErrAuth,
			[]string{"has changed", "ssh-keygen -R [127.0.0.1]:" + port}},
		{"refused key", func(t *testing.T) { home(t, s, s.host.PublicKey(), otherKey) }, repo, ErrAuth,
			[]string{"accepts none of the ssh keys", "~/.ssh/id_ed25519"}},
		{"key with a passphrase", func(t *testing.T) {
			home(t, s, s.host.PublicKey(), nil)
			block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("secret"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(os.Getenv("HOME"), ".ssh/id_ed25519"), string(pem.EncodeToMemory(block)))
		}, repo, ErrAuth, []string{"~/.ssh/id_ed25519 needs a passphrase"}},
		{"no such repository", func(t *testing.T) { home(t, s, s.host.PublicKey(), key) }, "/nowhere.git", ErrNotFound,
			[]string{"check the URL"}},
		{"empty repository", func(t *testing.T) { home(t, s, s.host.PublicKey(), key) }, empty, ErrEmpty,
			[]string{"commit and push something"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.setup(t)
			err := fetchError(t, open(t, t.TempDir(), Options{URL: "ssh://git@" + s.address + c.path}), c.want...)
			if !errors.Is(err, c.kind) {
				t.Errorf("errors.Is(%v, %v) = false", err, c.kind)
			}
		})
	}
}

func TestASilentSSHServerDoesNotHoldAFetch(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	closed := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, conn) // until the client hangs up
		closed <- err
	}()
	key, signer := newKey(t)
	home(t, &sshServer{address: listener.Addr().String()}, signer.PublicKey(), key)
	src := open(t, t.TempDir(), Options{URL: "ssh://git@" + listener.Addr().String() + "/x.git", Timeout: 10 * time.Millisecond})
	if err := fetchError(t, src, "no complete answer"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("errors.Is(%v, DeadlineExceeded) = false", err)
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still open")
	}
}
