package sources

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
)

// defaultKeys are tried in this order, as OpenSSH does, without those that need hardware.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// login is how to log in to one ssh server.
type login struct {
	config *ssh.ClientConfig
	agent  net.Conn
	// offered and skipped say which keys were tried and why others were not, for the error.
	offered, skipped []string
	hostKey          error
}

// newLogin collects the keys of the agent and of ~/.ssh. They are read each time: an agent may come later, and a key may
// be replaced.
func newLogin(user, address string) (*login, error) {
	l := &login{}
	var signers []ssh.Signer
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		signers = append(signers, l.fromAgent(socket)...)
	}
	signers = append(signers, l.fromFiles()...)
	if len(signers) == 0 {
		l.close()
		return nil, fmt.Errorf("%w: there is no ssh key to log in with: start an ssh-agent (SSH_AUTH_SOCK), or put a key without a passphrase into ~/.ssh/id_ed25519%s",
			ErrAuth, l.notes())
	}
	known, err := gitssh.NewKnownHostsDb()
	if err != nil {
		l.close()
		return nil, fmt.Errorf("%w: there is no known_hosts file to check the server's key with; %s", ErrAuth, scanHint(address))
	}
	l.config = &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyAlgorithms: known.HostKeyAlgorithms(address),
		HostKeyCallback:   l.check(known.HostKeyCallback(), address),
		Timeout:           20 * time.Second,
	}
	return l, nil
}

func (l *login) close() {
	if l.agent != nil {
		l.agent.Close()
	}
}

func (l *login) fromAgent(socket string) []ssh.Signer {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		l.skipped = append(l.skipped, "ssh-agent does not answer")
		return nil
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	l.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		l.skipped = append(l.skipped, "ssh-agent lists no keys")
		return nil
	}
	for range signers {
		l.offered = append(l.offered, "a key of the ssh-agent")
	}
	return signers
}

func (l *login) fromFiles() []ssh.Signer {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var signers []ssh.Signer
	for _, name := range defaultKeys {
		data, err := os.ReadFile(filepath.Join(home, ".ssh", name))
		if err != nil {
			continue
		}
		signer, err := ssh.ParsePrivateKey(data)
		var locked *ssh.PassphraseMissingError
		switch {
		case errors.As(err, &locked):
			l.skipped = append(l.skipped, "~/.ssh/"+name+" needs a passphrase")
		case err != nil:
			l.skipped = append(l.skipped, "~/.ssh/"+name+" cannot be read as a key")
		default:
			signers = append(signers, signer)
			l.offered = append(l.offered, "~/.ssh/"+name)
		}
	}
	return signers
}

// check refuses host keys that known_hosts does not have, and remembers why: the ssh library loses the reason.
func (l *login) check(known ssh.HostKeyCallback, address string) ssh.HostKeyCallback {
	return func(hostname string, remote net.Addr, key ssh.PublicKey) error {
		err := known(hostname, remote, key)
		var mismatch *knownhosts.KeyError
		switch {
		case errors.As(err, &mismatch) && len(mismatch.Want) > 0:
			l.hostKey = fmt.Errorf("%w: the host key of %s has changed to %s: somebody may be in between; if the change is expected, remove the old key with: ssh-keygen -R %s",
				ErrAuth, address, ssh.FingerprintSHA256(key), knownhosts.Normalize(address))
		case errors.As(err, &mismatch):
			l.hostKey = fmt.Errorf("%w: the host key of %s is not known (%s %s); compare it with what the server's owner publishes, then %s",
				ErrAuth, address, key.Type(), ssh.FingerprintSHA256(key), scanHint(address))
		case err != nil:
			l.hostKey = fmt.Errorf("%w: the host key of %s was refused: %v", ErrAuth, address, err)
		}
		return l.hostKey
	}
}

func scanHint(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "22" {
		return "run: ssh-keyscan " + host + " >> ~/.ssh/known_hosts"
	}
	return "run: ssh-keyscan -p " + port + " " + host + " >> ~/.ssh/known_hosts"
}

// explain makes the handshake's error say what to do.
func (l *login) explain(err error) error {
	switch {
	case l.hostKey != nil:
		return l.hostKey
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("%w: the server accepts none of the ssh keys offered (%s)%s", ErrAuth, strings.Join(l.offered, ", "), l.notes())
	default:
		return fmt.Errorf("ssh handshake: %w", err)
	}
}

func (l *login) notes() string {
	if len(l.skipped) == 0 {
		return ""
	}
	return "; " + strings.Join(l.skipped, "; ")
}
