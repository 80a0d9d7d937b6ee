package runtimetest

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

var messageChecks = []Check{
	{Name: "terminationMessagePath: each attempt keeps the message that it left", run: messages},
	{Name: "terminationMessagePolicy: the log stands in if asked for, and only for a failure", run: messagesFromLogs},
	{Name: "a termination message is the last 4096 bytes at most", run: longMessages},
}

var realMessageChecks = []Check{
	{Name: "terminationMessagePath: any path, any user, and a root file system that is read-only", run: messagePlaces},
	{Name: "terminationMessagePath: a message is not cut within a character, and the log ends with 80 lines", run: messageCuts},
	{Name: "terminationMessagePath: a message outlives a restart of the sandbox", run: messageOutlives},
}

const terminationLog = "/dev/termination-log"

// ends runs an attempt to its end and returns what is known of it.
func (f *fixture) ends(pod string, config runtime.ContainerConfig) runtime.Container {
	f.Helper()
	return f.exited(f.start(pod, config))
}

// ending is a container that ends with a message and a code.
func (f *fixture) ending(name, message string, code int) runtime.ContainerConfig {
	config := f.containerConfig(name, Behaviour{Kind: End, Stdout: "a line of " + name, Message: message, Code: code})
	config.TerminationMessagePath = terminationLog
	config.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	return config
}

// describe puts the containers into the pod's manifest, as the defaulted manifest of a pod has them.
func describe(config *runtime.SandboxConfig, containers ...runtime.ContainerConfig) {
	config.Pod.Spec.Containers = nil
	for _, c := range containers {
		config.Pod.Spec.Containers = append(config.Pod.Spec.Containers, corev1.Container{
			Name: c.Name, Image: c.Image, TerminationMessagePath: c.TerminationMessagePath, TerminationMessagePolicy: c.TerminationMessagePolicy,
		})
	}
}

func (f *fixture) podOf(name string, containers ...runtime.ContainerConfig) string {
	f.Helper()
	config := f.config(name)
	describe(&config, containers...)
	pod, err := f.Runtime.CreateSandbox(f.ctx, config)
	f.must(err)
	f.must(f.Runtime.StartSandbox(f.ctx, pod))
	return pod
}

func messages(f *fixture) {
	pod := f.podOf("web", f.ending("main", "x", 0), f.ending("side", "x", 0))
	for attempt, message := range []string{"no data base", "", "out of luck"} {
		for _, name := range []string{"main", "side"} {
			config := f.ending(name, message, attempt)
			config.Attempt = attempt
			if message != "" {
				config.Image, config.Command = f.Command(Behaviour{Kind: End, Message: name + ": " + message, Code: attempt})
			}
			f.ends(pod, config)
		}
	}
	// One that the manifest does not have, as a container for debugging.
	f.ends(pod, f.ending("other", "bye", 0))
	var got []string
	for _, c := range f.observePod(pod).Containers {
		got = append(got, fmt.Sprintf("%s/%d=%s", c.Name, c.Attempt, c.Message))
	}
	const want = "main/0=main: no data base, main/1=, main/2=main: out of luck, other/0=bye, side/0=side: no data base, side/1=, side/2=side: out of luck"
	if strings.Join(got, ", ") != want {
		f.Errorf("the messages are %s; want %s", strings.Join(got, ", "), want)
	}
	running := f.run(pod, "running", Behaviour{Kind: Sleep})
	if c := f.observe(running); c.Message != "" {
		f.Errorf("a container that runs has the message %q", c.Message)
	}
}

func messagesFromLogs(f *fixture) {
	pod := f.pod("web")
	for _, c := range []struct {
		name, message string
		code          int
		policy        corev1.TerminationMessagePolicy
		want          string
	}{
		{"fails", "", 1, corev1.TerminationMessageFallbackToLogsOnError, "a line of fails\n"},
		{"speaks", "said", 1, corev1.TerminationMessageFallbackToLogsOnError, "said"},
		{"succeeds", "", 0, corev1.TerminationMessageFallbackToLogsOnError, ""},
		{"silent", "", 1, corev1.TerminationMessageReadFile, ""},
	} {
		config := f.ending(c.name, c.message, c.code)
		config.TerminationMessagePolicy = c.policy
		if got := f.ends(pod, config); got.Message != c.want || got.ExitCode != c.code {
			f.Errorf("%s ends with %d and the message %q; want %d and %q", c.name, got.ExitCode, got.Message, c.code, c.want)
		}
	}
}

func longMessages(f *fixture) {
	message := strings.Repeat("0123456789", 500)
	if got := f.ends(f.pod("web"), f.ending("main", message, 1)).Message; got != message[len(message)-4096:] {
		f.Errorf("the message has %d bytes, %.20s…; want the last 4096", len(got), got)
	}
}

func messagePlaces(f *fixture) {
	yes, user := true, int64(1234)
	pod := f.pod("web", runtime.Volume{Name: "logs", Kind: runtime.EmptyDir})
	for name, path := range map[string]string{"dev": terminationLog, "root": "/end", "deep": "/not/yet/there", "volume": "/logs/end"} {
		config := f.ending(name, "x", 1)
		config.TerminationMessagePath = path
		config.Command = script(`id -u >"$1"; echo more >>"$1"; exit 1`, path)
		config.Mounts = []runtime.Mount{{Volume: "logs", Path: "/logs"}}
		config.SecurityContext = &corev1.SecurityContext{RunAsUser: &user, ReadOnlyRootFilesystem: &yes}
		if c := f.ends(pod, config); c.Message != "1234\nmore\n" || c.ExitCode != 1 {
			f.Errorf("the message at %s is %q, exit code %d", path, c.Message, c.ExitCode)
		}
	}
}

func messageCuts(f *fixture) {
	pod := f.pod("web")
	config := f.ending("umlauts", "x", 1)
	config.Command = script(`i=0; while [ $i -lt 3000 ]; do printf ü; i=$((i+1)); done >/dev/termination-log; printf z >>/dev/termination-log; exit 1`)
	if got := f.ends(pod, config).Message; got != strings.Repeat("ü", 2047)+"z" {
		f.Errorf("the message has %d bytes, %.10q…; want 2047 whole characters and a z", len(got), got)
	}
	config = f.ending("lines", "x", 1)
	config.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	config.Command = script(`i=0; while [ $i -lt 100 ]; do echo $i; i=$((i+1)); done; exit 1`)
	if got := f.ends(pod, config).Message; !strings.HasPrefix(got, "20\n21\n") || !strings.HasSuffix(got, "\n99\n") {
		f.Errorf("the end of the log is %q; want the lines 20 to 99", got)
	}
	config = f.ending("bytes", "x", 1)
	config.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	config.Command = script(`i=0; while [ $i -lt 60 ]; do printf '%099d\n' $i >&2; i=$((i+1)); done; exit 1`)
	if got := f.ends(pod, config).Message; len(got) != 2048 || !strings.HasSuffix(got, "059\n") {
		f.Errorf("the end of the log has %d bytes; want 2048 that end with line 59", len(got))
	}
}

func messageOutlives(f *fixture) {
	config := f.ending("main", "first", 1)
	pod := f.podOf("web", config)
	f.ends(pod, config)
	f.restartSandbox(pod)
	config.Attempt = 1
	config.Image, config.Command = f.Command(Behaviour{Kind: End, Message: "second"})
	f.ends(pod, config)
	if c := f.observePod(pod).Containers; c[0].Message != "first" || c[1].Message != "second" {
		f.Errorf("the messages are %q and %q; want first and second", c[0].Message, c[1].Message)
	}
	// A container that is told to stop leaves one, too.
	config.Attempt = 2
	config.Command = script(`trap 'echo stopped >/dev/termination-log; exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done`)
	id := f.start(pod, config)
	f.says(id, "ready\n")
	f.must(f.Runtime.StopContainer(f.ctx, id, 10*time.Second))
	if c := f.observe(id); c.Message != "stopped\n" {
		f.Errorf("when StopContainer returns the message is %q; want it to be there", c.Message)
	}
}
