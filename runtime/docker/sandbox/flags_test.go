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
		"--search=a.local,b.local", "--search=c.local", "--option=ndots:5", "--emptydir=/volumes/a,b", "--emptydir=/volumes/c", "--fsgroup=2000", "--own=/volumes/d",
		"--own-read=/volumes/e", "--on-root-mismatch", "--ready=/.ready"})
	if err != nil {
		t.Fatal(err)
	}
	if c.gateway.String() != "10.77.0.2" || c.gatewayMAC.String() != "02:42:0a:4d:00:02" ||
		!reflect.DeepEqual(c.volumes.emptyDirs, []string{"/volumes/a,b", "/volumes/c"}) {
		t.Errorf("%+v", c)
	}
	v := c.volumes
	if *v.group != 2000 || v.writable[0] != "/volumes/d" || v.readable[0] != "/volumes/e" || !v.onMismatch || v.ready != "/.ready" {
		t.Errorf("%+v", v)
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
		{"-fsgroup", []string{"--fsgroup=staff"}},
		{"-fsgroup", []string{"--fsgroup=-1"}},
		{"--fsgroup", []string{"--own=/volumes/a"}},
		{"--alias", []string{"--alias=web,10.0.0.1"}},
		{"--alias", []string{"--alias=10.0.0.1"}},
		{"--alias", []string{"--alias=10.0.0.1,a\n10.0.0.2 b"}},
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

func TestTheEnginesResolverConfigurationIsExtended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	const engines = "# made by the engine\nsearch corp.test\nnameserver 127.0.0.11\noptions ndots:0 rotate\n"
	if err := os.WriteFile(path, []byte(engines), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := parse([]string{"--extend", "--nameserver=127.0.0.11,9.9.9.9,8.8.8.8,1.1.1.1", "--search=b.test", "--option=ndots:2,edns0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.writeResolvConf(path); err != nil {
		t.Fatal(err)
	}
	const want = "search corp.test b.test\nnameserver 127.0.0.11\nnameserver 9.9.9.9\nnameserver 8.8.8.8\noptions ndots:2 rotate edns0\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestAliasesAreAddedToTheHostsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte("127.0.0.1\tlocalhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := config{aliases: []string{"10.0.0.1,a,b", "fd00::1,c"}}
	if err := c.addAliases(path); err != nil {
		t.Fatal(err)
	}
	const want = "127.0.0.1\tlocalhost\n\n# Entries added by HostAliases.\n10.0.0.1\ta\tb\nfd00::1\tc\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestFilesForMessagesAreMadeOnceAndForEveryUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main.0")
	c := config{messages: []string{path}}
	for range 2 {
		if err := c.makeMessages(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o666 {
			t.Fatalf("%v, %v", info, err)
		}
		if err := os.WriteFile(path, []byte("the end"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "the end" {
		t.Errorf("%q, %v", got, err)
	}
}
