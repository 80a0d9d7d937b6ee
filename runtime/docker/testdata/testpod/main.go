// Command testpod is the part of podyard that runs inside containers, for the tests of runtime/docker.
package main

import (
	"os"

	"github.com/podyard/podyard/gateway"
	"github.com/podyard/podyard/runtime/docker/sandbox"
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
	case "volume-swap":
		os.Exit(writer.Main(args, os.Stderr))
	}
	os.Exit(2)
}
