package publisher

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/podyard/podyard/gateway"
)

func TestTheCommandLineIsRead(t *testing.T) {
	c, err := parse(strings.Fields("--to=10.89.192.1 --port=tcp:30080:80 --port=udp:30053:53 --source=192.0.2.0/24 --masquerade --ready=/.open"))
	if err != nil {
		t.Fatal(err)
	}
	want := config{ready: "/.open", Publication: gateway.Publication{
		To: netip.MustParseAddr("10.89.192.1"), Masquerade: true, Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Ports: []gateway.PublishedPort{{Protocol: "tcp", Port: 30080, ToPort: 80}, {Protocol: "udp", Port: 30053, ToPort: 53}},
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v; want %+v", c, want)
	}
}

func TestAWrongCommandLineIsNamed(t *testing.T) {
	for line, want := range map[string]string{
		"":                                                    "--to",
		"--to=fd00::1 --port=tcp:1:1":                         "--to: want an IPv4 address",
		"--to=10.0.0.1":                                       "--port: want at least one",
		"--to=10.0.0.1 --port=sctp:1:1":                       "want tcp or udp and two ports",
		"--to=10.0.0.1 --port=tcp:1":                          "want tcp or udp and two ports",
		"--to=10.0.0.1 --port=tcp:0:1":                        "port 0",
		"--to=10.0.0.1 --port=tcp:1:70000":                    "out of range",
		"--to=10.0.0.1 --source=192.0.2.1":                    "-source",
		"--port=tcp:1:1 --to=x":                               "-to",
		"--to=10.0.0.1 --port=tcp:1:1 extra":                  `unexpected argument "extra"`,
		"--to=10.0.0.1 --port=tcp:1:1 --source=2001:db8::/32": "2001:db8::/32 is not IPv4",
	} {
		if _, err := parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", line, err, want)
		}
	}
}
