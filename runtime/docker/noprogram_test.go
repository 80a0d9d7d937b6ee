package docker

import (
	"bytes"
	"errors"
	"testing"

	"github.com/podyard/podyard/runtime"
)

func TestAProgramThatIsNotThereIsToldFromOneThatSaysSo(t *testing.T) {
	const missing = `OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: "nope": executable file not found in $PATH: unknown` + "\r\n"
	for _, c := range []struct {
		name   string
		writes []string
		code   int
		output string
		want   int
		err    string
	}{
		{"not there", []string{missing}, 126, "", 127, `exec: "nope": executable file not found in $PATH`},
		{"not there, in parts", []string{"OCI run", missing[7:40], missing[40:]}, 127, "", 127, `exec: "nope": executable file not found in $PATH`},
		{"a file that may not be executed", []string{`OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc/passwd": permission denied: unknown`}, 126, "",
			126, `exec: "/etc/passwd": permission denied`},
		{"a program that writes the same and is content", []string{missing}, 0, missing, 0, ""},
		{"a program that begins like it", []string{"OCI", "ous"}, 126, "OCIous", 126, ""},
		{"a program that fails", []string{"", "out\n", missing}, 127, "out\n" + missing, 127, ""},
		{"no word", nil, 126, "", 126, ""},
	} {
		var out bytes.Buffer
		first := &firstWords{w: &out}
		for _, text := range c.writes {
			if n, err := first.Write([]byte(text)); n != len(text) || err != nil {
				t.Fatal(n, err)
			}
		}
		err := first.end(c.code)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if out.String() != c.output || said != c.err || shellCode(c.code, err) != c.want || (c.err != "") != errors.Is(err, runtime.ErrNoProgram) {
			t.Errorf("%s: output %q, error %q, exit code %d", c.name, out.String(), said, shellCode(c.code, err))
		}
	}
}
