package sources

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestURLsAreTakenApart(t *testing.T) {
	cases := []struct{ raw, scheme, user, password, host, path, shown string }{
		{"https://github.com/a/b.git", "https", "", "", "github.com", "/a/b.git", "https://github.com/a/b.git"},
		{"https://ann:s3cret@github.com:8443/a/b", "https", "ann", "s3cret", "github.com", "/a/b", "https://github.com:8443/a/b"},
		{"https://tok%40en@host/a", "https", "tok@en", "", "host", "/a", "https://host/a"},
		{"https://:p%2Fw@host/a", "https", "", "p/w", "host", "/a", "https://host/a"},
		{"HTTP://[::1]:80/a", "http", "", "", "::1", "/a", "http://[::1]:80/a"},
		{"https://host/a%20b%3F%23.git", "https", "", "", "host", "/a b?#.git", "https://host/a%20b%3F%23.git"},
		{"ssh://git@host:2222/a/b.git", "ssh", "git", "", "host", "/a/b.git", "ssh://git@host:2222/a/b.git"},
		{"git+ssh://host/a", "ssh", "", "", "host", "/a", "ssh://host/a"},
		{"git@github.com:a/b.git", "ssh", "git", "", "github.com", "a/b.git", "git@github.com:a/b.git"},
		{"host:a", "ssh", "", "", "host", "a", "host:a"},
		{"ann@[fe80::1]:/a", "ssh", "ann", "", "fe80::1", "/a", "ann@[fe80::1]:/a"},
		{"file:///srv/a%20b.git", "file", "", "", "", "/srv/a b.git", "file:///srv/a%20b.git"},
		{"file://localhost/srv/a", "file", "", "", "", "/srv/a", "file:///srv/a"},
		{"/srv/a b", "file", "", "", "", "/srv/a b", "/srv/a b"},
		{"/srv/x:y", "file", "", "", "", "/srv/x:y", "/srv/x:y"},
	}
	for _, c := range cases {
		u, err := parseURL(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.raw, err)
			continue
		}
		got := []string{u.scheme, u.user, u.password, u.host, u.path, u.String()}
		want := []string{c.scheme, c.user, c.password, c.host, c.path, c.shown}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%s\n got %q\nwant %q", c.raw, got, want)
		}
	}
}

// What could become an option, a command or another transport further down is refused before any library sees it.
func TestHostileURLsAreRefused(t *testing.T) {
	for _, raw := range []string{
		"", "-oProxyCommand=x", "--upload-pack=touch /tmp/x", "ext::sh -c touch% /tmp/x", "fd::17", "https://host/a\nb", "https://host/a\x00",
		"https://host/a\x1b[2J", "https://-oProxyCommand=x/a", "ssh://-oProxyCommand=x/a", "ssh://git@-host/a", "-host:a", "git@-host:a",
		"ssh://git@host/-a/../..\n", "git@host:-upload-pack", "ssh://host;id/a", "ssh://host$(id)/a", "ssh://ho'st/a", "git@ho st:a",
		"ssh://git:pw-canary@host/a", "user:pw-canary@host:path", "git://host/a", "ftp://host/a", "rsync://host/a", "javascript://host/a",
		"http:///a", "https://host", "https://host/", "https://host:0/a", "https://host:99999/a", "https://host:pw-canary/a", "ssh://0:://0", "[4]::/:", "https://[::1%25eth0]/a",
		"https://u:pw-canary#x@host/a", "https://u:pw-canary?x@host/a", "https://host/a?token=pw-canary", "https://host/a#pw-canary",
		"https://u:pw-canary%zz@host/a", "https://u:pw-canary x@host/a", "https://u%0d%0aX:pw-canary@host/a", "https://host/a%00b", "https://host/a%0ab",
		"file://host/a", "file://a", "file://u:pw-canary@localhost/a", "file:///a%0ab", "file:///a%00", "\xff\xfe", strings.Repeat("x", 5000),
	} {
		u, err := parseURL(raw)
		if err == nil {
			t.Errorf("%q was accepted as %+v", raw, u)
			continue
		}
		if strings.Contains(err.Error(), "canary") || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("%q: the error shows the URL: %v", raw, err)
		}
	}
}

func TestHostileBranchesAreRefused(t *testing.T) {
	for _, name := range []string{"-x", "--upload-pack=x", "a..b", "a b", "a\nb", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b",
		"../../x", ".a", "a.lock", "a.", "@{-1}", "refs/heads/", "refs/heads/../x", "a\x00", "\xff"} {
		if got, err := parseBranch(name); err == nil {
			t.Errorf("branch %q was accepted as %q", name, got)
		}
	}
	for name, want := range map[string]string{"main": "main", "release/1.x": "release/1.x", "refs/heads/main": "main", "": "", "feature/ü": "feature/ü"} {
		if got, err := parseBranch(name); err != nil || got != want {
			t.Errorf("branch %q = %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestCleanErrors(t *testing.T) {
	u := mustParse(t, "https://ann-token:p%40ss%2Fw0rd@host/a")
	inner := fmt.Errorf("get https://ann-token:p%%40ss%%2Fw0rd@host/a: %w, password p@ss/w0rd, user ann-token\x1b[31m\nnext", ErrAuth)
	err := u.clean(inner)
	for _, secret := range []string{"p@ss", "p%40ss", "ann-token", "\x1b", "\n"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows %q", err, secret)
		}
	}
	if !errors.Is(err, ErrAuth) || errors.Is(err, ErrNotFound) || errors.Unwrap(err) != nil {
		t.Errorf("kind of %v is lost, or it unwraps", err)
	}
	if u.clean(nil) != nil {
		t.Error("clean(nil) is an error")
	}
	if long := u.clean(errors.New(strings.Repeat("é", 2000))).Error(); len(long) > maxErrorText+10 {
		t.Errorf("an error of %d bytes", len(long))
	}
}

// Whatever is given, parsing does not panic; what is accepted is shown without its password, can be parsed again, and
// holds nothing that could be an option.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{"https://u:pass@h/a", "git@h:a", "file:///a", "ext::x", "-x", "ssh://h:1/a%20", "https://[::1]/a", "a:b@c:d", "//", "https://u:p%2f@h/a?x#y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseURL(raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Errorf("%q: control characters in %q", raw, err)
			}
			return
		}
		shown := u.String()
		if strings.HasPrefix(u.host, "-") || strings.HasPrefix(u.user, "-") && u.scheme == schemeSSH || strings.HasPrefix(u.path, "-") {
			t.Errorf("%q: an option got through: %+v", raw, u)
		}
		if strings.ContainsAny(shown, "\n\x00\x1b") {
			t.Errorf("%q is shown with control characters: %q", raw, shown)
		}
		again, err := parseURL(shown)
		if err != nil {
			t.Fatalf("%q is shown as %q, which is refused: %v", raw, shown, err)
		}
		if again.host != u.host || again.path != u.path || again.port != u.port || again.scheme != u.scheme {
			t.Errorf("%q is shown as %q, which is another place: %+v, %+v", raw, shown, u, again)
		}
		if again.password != "" || u.scheme != schemeSSH && again.user != "" {
			t.Errorf("%q is shown with credentials: %q", raw, shown)
		}
		text := u.clean(fmt.Errorf("x %s y %s z", u.password, raw)).Error()
		if len(u.password) >= 3 && strings.Contains(strings.ReplaceAll(text, "xxxxx", ""), u.password) && !strings.Contains("x y z "+shown, u.password) {
			t.Errorf("%q: the password is in %q", raw, text)
		}
	})
}
