package sources

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// Kinds of error that a caller may tell apart with errors.Is. All of them are worth retrying: somebody else mends them.
var (
	// ErrNotFound means that there is no repository at the URL, or none that these credentials may see.
	ErrNotFound = errors.New("repository not found")
	// ErrEmpty means that the repository has no commit yet.
	ErrEmpty = errors.New("repository is empty")
	// ErrBranch means that the repository has no such branch.
	ErrBranch = errors.New("branch not found")
	// ErrAuth means that the credentials or the host key were not accepted.
	ErrAuth = errors.New("not authorised")
	// ErrRevision means that no revision of that name is here.
	ErrRevision = errors.New("revision not found")
	// ErrWatchLimit means that the kernel grants no more file watches; the source must be polled.
	ErrWatchLimit = errors.New("no more file watches")

	// errDamaged means that an object is not what its hash says, or is missing where it must be: in a mirror that is
	// mended by cloning it again.
	errDamaged = errors.New("object store is damaged")
)

var kinds = []error{ErrNotFound, ErrEmpty, ErrBranch, ErrAuth, ErrRevision, ErrWatchLimit, context.Canceled, context.DeadlineExceeded}

// cleanError is an error whose text has been freed of credentials. It does not unwrap, since what it wraps is not clean;
// it still answers errors.Is for the kinds above.
type cleanError struct {
	text string
	kind []error
}

func (e *cleanError) Error() string { return e.text }

func (e *cleanError) Is(target error) bool {
	for _, kind := range e.kind {
		if kind == target {
			return true
		}
	}
	return false
}

// userinfo is whatever stands between // and @ in a URL. A password may hold a slash if it was not escaped.
var userinfo = regexp.MustCompile(`://[^@\s"']*@`)

// clean frees an error of the URL's credentials, in every form in which libraries print them, and of control characters
// that a server may have put into its messages.
func (u repoURL) clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range u.secrets() {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	if u.scheme == schemeHTTP || u.scheme == schemeHTTPS {
		text = userinfo.ReplaceAllString(text, "://")
	}
	text = printable(text)
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	e := &cleanError{text: text}
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			e.kind = append(e.kind, kind)
		}
	}
	return e
}

// maxErrorText bounds what a server can put into an error, in bytes.
const maxErrorText = 1000

// printable replaces control characters by spaces: error texts and commit subjects reach terminals.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// secrets are the texts that must not be shown, longest first. A user name in http is often a token.
func (u repoURL) secrets() []string {
	var secrets []string
	add := func(s string) {
		// One or two characters would blank half the message and are no secret worth the name.
		if len(s) >= 3 {
			secrets = append(secrets, s)
		}
	}
	for _, s := range []string{u.rawUser, u.password, u.user} {
		if s == u.user && (u.scheme == schemeSSH || s == "git") {
			continue
		}
		add(url.QueryEscape(s))
		add(url.PathEscape(s))
		add(s)
	}
	return secrets
}
