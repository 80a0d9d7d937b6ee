package runtimetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

var realSecurityChecks = []Check{
	{Name: "runAsUser, runAsGroup, supplementalGroups and fsGroup: the ids of the process", run: ids},
	{Name: "capabilities: added and dropped, ALL, with and without CAP_", run: capabilities},
	{Name: "privileged: all rights, and the host's devices", run: privileged},
	{Name: "allowPrivilegeEscalation: no new privileges", run: noNewPrivileges},
	{Name: "readOnlyRootFilesystem: nothing can be written but volumes", run: readOnlyRoot},
	{Name: "procMount: masked by default, and unmasked", run: procMount},
	{Name: "seccompProfile: the engine's by default, or none", run: seccomp},
	{Name: "lifecycle.stopSignal: the signal that a stop sends", run: stopSignal},
}

// secured runs a container with security contexts of its own and of its pod.
func (f *fixture) secured(pod, name string, own *corev1.SecurityContext, pods *corev1.PodSecurityContext) string {
	f.Helper()
	config := f.containerConfig(name, Behaviour{Kind: Sleep})
	config.SecurityContext, config.PodSecurity = own, pods
	return f.start(pod, config)
}

// status is a line of the main process' status in /proc.
func (f *fixture) status(id, key string) string {
	f.Helper()
	for _, line := range lines(f.exec(id, "cat", "/proc/1/status")) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	f.Fatalf("the status has no %s", key)
	return ""
}

func ids(f *fixture) {
	pod := f.pod("web")
	user, other, group, fs := int64(1001), int64(1002), int64(3001), int64(2001)
	pods := &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &group, FSGroup: &fs, SupplementalGroups: []int64{4001, 4002}}
	for _, c := range []struct {
		name             string
		own              *corev1.SecurityContext
		pods             *corev1.PodSecurityContext
		uid, gid, groups string
	}{
		{"pods", nil, pods, "1001 1001 1001 1001", "3001 3001 3001 3001", "2001 3001 4001 4002"},
		{"own", &corev1.SecurityContext{RunAsUser: &other}, pods, "1002 1002 1002 1002", "3001 3001 3001 3001", "2001 3001 4001 4002"},
		{"user", &corev1.SecurityContext{RunAsUser: &other}, nil, "1002 1002 1002 1002", "0 0 0 0", ""},
		{"group", &corev1.SecurityContext{RunAsGroup: &group}, nil, "0 0 0 0", "3001 3001 3001 3001", "3001"},
		{"none", nil, nil, "0 0 0 0", "0 0 0 0", ""},
	} {
		id := f.secured(pod, c.name, c.own, c.pods)
		groups := strings.Fields(f.status(id, "Groups"))
		// Whether a process' first group is among its further ones too, engines see differently.
		groups = slices.DeleteFunc(groups, func(g string) bool { return g == "0" || g == fmt.Sprint(group) })
		slices.Sort(groups)
		want := slices.DeleteFunc(strings.Fields(c.groups), func(g string) bool { return g == fmt.Sprint(group) })
		if uid, gid := f.status(id, "Uid"), f.status(id, "Gid"); uid != c.uid || gid != c.gid || !slices.Equal(groups, want) {
			f.Errorf("%s: users %s, groups %s and %v; want %s, %s and %v", c.name, uid, gid, groups, c.uid, c.gid, want)
		}
	}
}

// Numbers of capabilities (capability.h).
const (
	capChown          = 0
	capNetBindService = 10
	capNetAdmin       = 12
	capSysAdmin       = 21
	capSysTime        = 25
)

// can tells which of some capabilities the main process has.
func (f *fixture) can(id string, capabilities ...int) []int {
	f.Helper()
	mask, err := strconv.ParseUint(f.status(id, "CapEff"), 16, 64)
	f.must(err)
	return slices.DeleteFunc(slices.Clone(capabilities), func(c int) bool { return mask&(1<<c) == 0 })
}

func capabilities(f *fixture) {
	pod := f.pod("web")
	for _, c := range []struct {
		name      string
		add, drop []corev1.Capability
		want      []int
	}{
		{"default", nil, nil, []int{capChown, capNetBindService}},
		{"add", []corev1.Capability{"NET_ADMIN", "CAP_SYS_TIME"}, nil, []int{capChown, capNetBindService, capNetAdmin, capSysTime}},
		{"drop", nil, []corev1.Capability{"CHOWN", "CAP_NET_BIND_SERVICE"}, nil},
		{"drop-all", nil, []corev1.Capability{"ALL"}, nil},
		{"only", []corev1.Capability{"NET_BIND_SERVICE"}, []corev1.Capability{"ALL"}, []int{capNetBindService}},
	} {
		id := f.secured(pod, c.name, &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: c.add, Drop: c.drop}}, nil)
		if got := f.can(id, capChown, capNetBindService, capNetAdmin, capSysAdmin, capSysTime); !slices.Equal(got, c.want) {
			f.Errorf("%s: of the capabilities it has %v; want %v", c.name, got, c.want)
		}
	}
	all := &corev1.Capabilities{Add: []corev1.Capability{"ALL"}, Drop: []corev1.Capability{"SYS_TIME"}}
	if id, ok := f.mayHave(pod, "add-all", &corev1.SecurityContext{Capabilities: all}); ok {
		if got := f.can(id, capNetAdmin, capSysAdmin, capSysTime); !slices.Equal(got, []int{capNetAdmin, capSysAdmin}) {
			f.Errorf("with all but SYS_TIME it has %v", got)
		}
	}
}

// mayHave runs a container with rights that the engine may not have itself: then it cannot give them, and says so.
func (f *fixture) mayHave(pod, name string, own *corev1.SecurityContext) (id string, ok bool) {
	f.Helper()
	config := f.containerConfig(name, Behaviour{Kind: Sleep})
	config.SecurityContext = own
	id = f.create(pod, config)
	err := f.Runtime.StartContainer(f.ctx, id)
	if err != nil && !strings.Contains(err.Error(), "apply caps: operation not permitted") {
		f.Fatal(err)
	}
	if err != nil {
		f.Logf("this engine cannot give all rights, for it has not all itself: %v", err)
	}
	return id, err == nil
}

func privileged(f *fixture) {
	yes := true
	pod := f.pod("web")
	id, ok := f.mayHave(pod, "main", &corev1.SecurityContext{Privileged: &yes})
	if !ok {
		return
	}
	if got := f.can(id, capSysAdmin, capNetAdmin); len(got) != 2 || f.status(id, "Seccomp") != "0" {
		f.Errorf("it has the capabilities %v, seccomp %s; want all and none", got, f.status(id, "Seccomp"))
	}
	f.exec(id, "test", "-c", "/dev/kmsg")
	if _, _, code := f.try(f.secured(pod, "other", nil, nil), "test", "-c", "/dev/kmsg"); code == 0 {
		f.Error("a container without privileges has the host's devices")
	}
}

func noNewPrivileges(f *fixture) {
	pod, no, yes := f.pod("web"), false, true
	for name, c := range map[string]struct {
		allow *bool
		want  string
	}{"no": {&no, "1"}, "yes": {&yes, "0"}, "unset": {nil, "0"}} {
		id := f.secured(pod, name, &corev1.SecurityContext{AllowPrivilegeEscalation: c.allow}, nil)
		if got := f.status(id, "NoNewPrivs"); got != c.want {
			f.Errorf("%s: NoNewPrivs is %s; want %s", name, got, c.want)
		}
	}
}

func readOnlyRoot(f *fixture) {
	yes := true
	pod := f.pod("web", runtime.Volume{Name: "scratch", Kind: runtime.EmptyDir})
	config := f.containerConfig("main", Behaviour{Kind: Sleep}, runtime.Mount{Volume: "scratch", Path: "/scratch"})
	config.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: &yes}
	id := f.start(pod, config)
	if _, _, code := f.try(id, "touch", "/tmp/file"); code == 0 {
		f.Error("the root file system can be written")
	}
	f.exec(id, "touch", "/scratch/file")
}

func procMount(f *fixture) {
	pod, unmasked := f.pod("web"), corev1.UnmaskedProcMount
	const look = `grep -c ' /proc/' /proc/mounts || true`
	if got := strings.TrimSpace(f.sh(f.secured(pod, "masked", nil, nil), look)); got == "0" {
		f.Error("by default nothing of /proc is masked")
	}
	id := f.secured(pod, "unmasked", &corev1.SecurityContext{ProcMount: &unmasked}, nil)
	if got := strings.TrimSpace(f.sh(id, look)); got != "0" {
		f.Errorf("unmasked, %s parts of /proc are mounted over", got)
	}
}

func seccomp(f *fixture) {
	pod := f.pod("web")
	for name, c := range map[string]struct {
		own, pods *corev1.SeccompProfile
		want      string
	}{
		"unset":   {nil, nil, "2"},
		"default": {&corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}, nil, "2"},
		"none":    {&corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}, nil, "0"},
		"pods":    {nil, &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}, "0"},
	} {
		id := f.secured(pod, name, &corev1.SecurityContext{SeccompProfile: c.own}, &corev1.PodSecurityContext{SeccompProfile: c.pods})
		if got := f.status(id, "Seccomp"); got != c.want {
			f.Errorf("%s: the kernel's seccomp mode is %s; want %s", name, got, c.want)
		}
	}
}

func stopSignal(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.StopSignal = "SIGUSR1"
	config.Command = script(`trap 'exit 5' USR1; trap 'exit 6' TERM; echo ready; while :; do sleep 3600 & wait $!; done`)
	id := f.start(f.pod("web"), config)
	f.says(id, "ready\n")
	if took, c := f.stop(id, 20*time.Second); c.ExitCode != 5 {
		f.Errorf("the program exits with %d after %s; want 5, as after SIGUSR1", c.ExitCode, took)
	}
}
