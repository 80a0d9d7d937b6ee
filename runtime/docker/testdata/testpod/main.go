// Command testpod is the part of podyard that runs inside containers, for the tests of runtime/docker.
package main

import (
	"os"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/ingress"
	"github.com/podyard/podyard/runtime/docker/publisher"
	"github.com/podyard/podyard/runtime/docker/reaper"
	"github.com/podyard/podyard/runtime/docker/sandbox"
	"github.com/podyard/podyard/runtime/docker/usage"
	"github.com/podyard/podyard/runtime/docker/writer"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "sandbox":
		os.Exit(sandbox.Main(args))
	case "gateway":
		os.Exit(gateway.Main(args))
	case "publish":
		os.Exit(publisher.Main(args))
	case "ingress":
		os.Exit(ingress.Main(args))
	case "volume-swap":
		os.Exit(writer.Main(args, os.Stderr))
	case "volume-touch":
		os.Exit(writer.Touch(args, os.Stderr))
	case "volume-usage":
		os.Exit(usage.Main(args, os.Stdin, os.Stdout, os.Stderr))
	case "reap":
		os.Exit(reaper.Main(args, os.Stderr))
	}
	os.Exit(2)
}
