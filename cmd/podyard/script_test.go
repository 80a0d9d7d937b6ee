package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/podyard/podyard/manifests"
)

var update = flag.Bool("update", false, "write what the scripts print into their files")

func TestMain(m *testing.M) {
	manifests.RunChildIfAsked() // the renderer runs this very binary
	testscript.Main(m, map[string]func(){"podyard": main})
}

// TestScripts runs the command line as a person would, in testdata/script. Run with -update to accept what it prints.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: *update})
}
