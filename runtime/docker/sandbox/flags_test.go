package sandbox

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	c, err := parse([]string{"--gateway=10.77.0.2", "--gateway-mac=02:42:0a:4d:00:02", "--nameserver=10.77.0.2",
		"--search=a.local,b.local", "--search=c.local", "--option=ndots:5", "--emptydir=/volumes/a,b", "--emptydir=/volumes/c"})
	if err != nil {
		t.Fatal(err)
	}
	if c.gateway.String() != "10.77.0.2" || c.gatewayMAC.String() != "02:42:0a:4d:00:02" ||
		!reflect.DeepEqual(c.emptyDirs, []string{"/volumes/a,b", "/volumes/c"}) {
		t.Errorf("%+v", c)
	}
	const want = "search a.local b.local c.local\nnameserver 10.77.0.2\noptions ndots:5\n"
	if got := c.resolvConf(); got != want {
		t.Errorf("resolv.conf is %q", got)
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--gateway-mac", []string{"--gateway=10.0.0.1"}},
		{"--gateway", []string{"--gateway-mac=02:42:0a:4d:00:02"}},
		{"--gateway", []string{"--gateway=fd00::1", "--gateway-mac=02:42:0a:4d:00:02"}},
		{"--gateway-mac", []string{"--gateway=10.0.0.1", "--gateway-mac=02:42:0a:4d:00:02:00:00"}},
		{"--nameserver", []string{"--nameserver=ns"}},
		{"--nameserver", []string{"--search=a.local"}},
		{"--search", []string{"--nameserver=10.0.0.1", "--search=a.local\nnameserver 6.6.6.6"}},
		{"extra", []string{"extra"}},
		{"-what", []string{"--what"}},
	} {
		if _, err := parse(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

func TestResolverConfigurationIsWrittenInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 127.0.0.11\noptions ndots:0 and much more text\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Docker mounts this very file into every container of the pod: a new file under its name would not be seen.
	shared, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	c := config{nameservers: []string{"10.77.0.2"}}
	if err := c.writeResolvConf(path); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 100)
	n, _ := shared.Read(seen)
	if string(seen[:n]) != "nameserver 10.77.0.2\n" {
		t.Errorf("the others see %q", seen[:n])
	}
	c.nameservers = nil
	if err := c.writeResolvConf(filepath.Join(path, "not", "there")); err != nil {
		t.Errorf("without a name server there is nothing to write: %v", err)
	}
}
