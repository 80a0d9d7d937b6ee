package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/podyard/podyard/e2e/engine"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withengine COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	err := run(os.Args[1:])
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "withengine:", err)
		os.Exit(1)
	}
}

func run(command []string) (err error) {
	own, err := engine.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	if err := own.Start(strings.Fields(os.Getenv("PODYARD_ENGINE_FLAGS"))...); err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	inside := own.Inside("sh", append([]string{"-c", `cd "$0" && exec "$@"`, here}, command...)...)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	return inside.Run()
}
