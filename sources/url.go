package sources

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeSSH   = "ssh"
	schemeFile  = "file"
)

// repoURL is a repository's address, taken apart by us and not by a library that would be more generous.
type repoURL struct {
	scheme         string
	user, password string
	// rawUser is the userinfo as it was written, still escaped.
	rawUser string
	host    string
	port    int // 0 is the scheme's own
	path    string
	fileURL bool // written as file://, so it must be a git repository
	scp     bool // written as user@host:path
}

// String is the URL without credentials; for ssh the user is no secret and stays.
func (u repoURL) String() string {
	host := u.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.port != 0 {
		host += ":" + strconv.Itoa(u.port)
	}
	if u.scheme == schemeSSH && u.user != "" {
		host = u.user + "@" + host
	}
	switch {
	case u.scheme == schemeFile && u.fileURL:
		return (&url.URL{Scheme: schemeFile, Path: u.path}).String()
	case u.scheme == schemeFile:
		return u.path
	case u.scp:
		return host + ":" + u.path
	default:
		return u.scheme + "://" + host + (&url.URL{Path: u.path}).EscapedPath()
	}
}

var (
	helperForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+.-]*::`)
	schemeForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)
	// scpForm is git's: a colon before the first slash.
	scpForm  = regexp.MustCompile(`^(?:([^@/:]+)@)?(\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]|[^@/:\[\]]+):(.+)$`)
	hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
	userForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@=-]*$`)
)

// parseURL takes a URL apart and refuses what could mean something else to git, ssh or a shell further down
// (CVE-2025-21613, CVE-2026-45570: arguments smuggled in by a leading dash, quotes or a transport helper). Errors do not
// repeat the URL, which may hold a password.
func parseURL(raw string) (repoURL, error) {
	if err := checkText(raw); err != nil {
		return repoURL{}, fmt.Errorf("repository URL: %w", err)
	}
	if helperForm.MatchString(raw) {
		return repoURL{}, fmt.Errorf("repository URL: transport helpers (%s) are not supported; use https, ssh or a path",
			helperForm.FindString(raw))
	}
	if scheme := schemeForm.FindStringSubmatch(raw); scheme != nil {
		return parseSchemeURL(strings.ToLower(scheme[1]), raw)
	}
	if _, err := os.Stat(raw); err != nil {
		if colon, slash := strings.Index(raw, ":"), strings.Index(raw, "/"); colon > 0 && (slash < 0 || colon < slash) {
			return parseSCP(raw)
		}
	}
	return localURL(raw, false)
}

func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("is empty; give a URL or a path")
	case len(s) > 4096:
		return errors.New("is longer than 4096 bytes")
	case strings.HasPrefix(s, "-"):
		return errors.New("must not start with -; write ./-name for a directory of that name")
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }):
		return errors.New("must not contain control characters or line breaks")
	}
	return nil
}

func parseSchemeURL(scheme, raw string) (repoURL, error) {
	switch scheme {
	case schemeHTTP, schemeHTTPS, schemeSSH, schemeFile:
	case "git+ssh", "ssh+git":
		scheme = schemeSSH
	default:
		return repoURL{}, fmt.Errorf("repository URL: scheme %s is not supported; use https, http, ssh, file or a path", scheme)
	}
	if len(raw) > 1024 {
		return repoURL{}, errors.New("repository URL: is longer than 1024 bytes")
	}
	parsed, err := url.Parse(raw)
	if err != nil {
		// The parser's error quotes the URL.
		return repoURL{}, errors.New("repository URL: cannot be parsed; write special characters in user name and password as %XX")
	}
	if parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(raw, "#") {
		return repoURL{}, errors.New("repository URL: must not have ? or #; write them as %3F and %23")
	}
	if scheme == schemeFile {
		if parsed.User != nil || parsed.Host != "" && parsed.Host != "localhost" {
			return repoURL{}, errors.New("repository URL: file:// takes no host; write file:///path")
		}
		return localURL(parsed.Path, true)
	}
	return remoteURL(scheme, parsed)
}

func remoteURL(scheme string, parsed *url.URL) (repoURL, error) {
	u := repoURL{scheme: scheme, host: parsed.Hostname(), path: parsed.Path}
	if parsed.User != nil {
		u.user, u.rawUser = parsed.User.Username(), parsed.User.String()
		u.password, _ = parsed.User.Password()
	}
	if port := parsed.Port(); port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return repoURL{}, errors.New("repository URL: port is not a number from 1 to 65535")
		}
		u.port = n
	}
	return u, u.check()
}

// parseSCP reads user@host:path. A second @ before the path would be a password, which this form does not have.
func parseSCP(raw string) (repoURL, error) {
	m := scpForm.FindStringSubmatch(raw)
	if m == nil || strings.Contains(m[3], "@") {
		return repoURL{}, errors.New("repository URL: is neither a URL, nor an existing path, nor of the form user@host:path")
	}
	u := repoURL{scheme: schemeSSH, user: m[1], host: strings.Trim(m[2], "[]"), path: m[3], scp: true}
	return u, u.check()
}

// check holds for every remote URL. Paths are quoted for the remote shell later; the host and the user are restricted.
func (u repoURL) check() error {
	switch {
	case !validHost(u.host):
		return errors.New("repository URL: host name is missing or not valid")
	case strings.Trim(u.path, "/") == "":
		return errors.New("repository URL: path of the repository is missing")
	case strings.HasPrefix(u.path, "-"):
		return errors.New("repository URL: path must not start with -")
	case checkText(u.path) != nil:
		return errors.New("repository URL: path has control characters or is not UTF-8")
	case u.scheme == schemeSSH && u.user != "" && !userForm.MatchString(u.user):
		return errors.New("repository URL: ssh user name is not valid")
	case u.scheme == schemeSSH && u.password != "":
		return errors.New("repository URL: passwords are not used for ssh; use a key, and leave the password out")
	case checkHeader(u.user) != nil || checkHeader(u.password) != nil:
		return errors.New("repository URL: user name or password has control characters")
	}
	return nil
}

// validHost accepts names and addresses; an IPv6 zone names an interface of one machine, and is not needed.
func validHost(host string) bool {
	if !strings.Contains(host, ":") {
		return hostForm.MatchString(host)
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == ""
}

func checkHeader(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("control character")
	}
	return nil
}

func localURL(path string, fileURL bool) (repoURL, error) {
	if fileURL && !filepath.IsAbs(path) {
		return repoURL{}, errors.New("repository URL: file:// needs an absolute path")
	}
	if err := checkText(path); err != nil {
		return repoURL{}, fmt.Errorf("repository path: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return repoURL{}, fmt.Errorf("repository path: %w", err)
	}
	return repoURL{scheme: schemeFile, path: abs, fileURL: fileURL}, nil
}

// parseBranch accepts main and refs/heads/main and returns the short name.
func parseBranch(branch string) (string, error) {
	if branch == "" {
		return "", nil
	}
	name := strings.TrimPrefix(branch, "refs/heads/")
	if err := plumbing.NewBranchReferenceName(name).Validate(); err != nil || !utf8.ValidString(name) {
		return "", fmt.Errorf("branch %q: not a valid branch name (git check-ref-format)", branch)
	}
	return name, nil
}
