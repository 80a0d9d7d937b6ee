package publisher

import (
	"strings"
	"testing"
)

func TestTheCommandLineIsRead(t *testing.T) {
	c, err := parse(strings.Fields("--gateway-mac=02:42:0a:59:00:02 --ready=/.open"))
	if err != nil || c.gatewayMAC.String() != "02:42:0a:59:00:02" || c.ready != "/.open" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAWrongCommandLineIsNamed(t *testing.T) {
	for line, want := range map[string]string{
		"":                                      "--gateway-mac: want",
		"--gateway-mac=x":                       "-gateway-mac",
		"--gateway-mac=02:42:0a:59:00:02:00:01": "not an Ethernet address",
		"--gateway-mac=02:42:0a:59:00:02 --to=1.2.3.4": "-to",
		"--gateway-mac=02:42:0a:59:00:02 extra":        `unexpected argument "extra"`,
	} {
		if _, err := parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", line, err, want)
		}
	}
}
