package docker

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podyard/podyard/runtime"
)

// sandboxEntry is a pod as the cache has it.
func sandboxEntry(pod *corev1.Pod, volumes ...sandboxVolume) *entry {
	en := &entry{id: "5a5a", role: roleSandbox, running: true, pod: &runtime.Pod{Manifest: pod}, volumes: map[string]sandboxVolume{}}
	for _, v := range volumes {
		en.volumes[v.Name] = v
	}
	return en
}

var modern = facts{lowersOOM: true, loggingDriver: "json-file", memory: 4 << 30, subpath: true, bindOptions: true}

func convertContainer(t *testing.T, en *entry, config runtime.ContainerConfig, f facts) spec {
	t.Helper()
	return got(names{"podyard"}.containerSpec(en, config, lookedUp{}, f))(t)
}

func TestAContainerJoinsItsSandbox(t *testing.T) {
	yes := true
	pod := testPod("web", corev1.Container{Name: "main"})
	pod.Spec.ShareProcessNamespace = &yes
	s := convertContainer(t, sandboxEntry(pod), runtime.ContainerConfig{
		Name: "main", Attempt: 2, Image: "app:v1", ImageID: "sha256:aa", Command: []string{"run"}, Args: []string{"-v"},
		Env: []runtime.EnvVar{{Name: "B", Value: "2"}, {Name: "A", Value: "1=1"}}, Backoff: 20 * time.Second, GracePeriod: 1500 * time.Millisecond,
	}, modern)
	if s.host.NetworkMode != "container:5a5a" || s.host.IpcMode != "container:5a5a" || s.host.PidMode != "container:5a5a" || s.network != nil {
		t.Errorf("namespaces: %+v", s.host)
	}
	if s.config.Image != "sha256:aa" || s.config.Labels[labelImage] != "app:v1" || s.config.Labels[labelBackoff] != "20s" {
		t.Errorf("image and labels: %s, %v", s.config.Image, s.config.Labels)
	}
	if !slices.Equal(s.config.Env, []string{"B=2", "A=1=1"}) || !slices.Equal(s.config.Entrypoint, []string{"run"}) || !slices.Equal(s.config.Cmd, []string{"-v"}) {
		t.Errorf("process: %v %v %v", s.config.Env, s.config.Entrypoint, s.config.Cmd)
	}
	if *s.config.StopTimeout != 2 || s.host.RestartPolicy.Name != container.RestartPolicyDisabled || *s.host.Init {
		t.Errorf("life: %+v", s.host)
	}
	if !slices.Equal(s.config.Healthcheck.Test, []string{"NONE"}) || s.host.LogConfig.Config["max-size"] != "10m" {
		t.Errorf("health check and log: %+v %+v", s.config.Healthcheck, s.host.LogConfig)
	}
}

func TestASandboxOwnsWhatItsContainersShare(t *testing.T) {
	pod := testPod("web")
	pod.Spec.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"a", "b"}}}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net/core/somaxconn", Value: "1024"}}}
	pod.Status.Phase = corev1.PodRunning
	r := got(parseRanges("10.89.0.0/16"))(t)
	config := sandboxOf(pod, runtime.Volume{Name: "tmp", Kind: runtime.EmptyDir},
		runtime.Volume{Name: "secret", Kind: runtime.Files, Memory: true, Files: []runtime.File{{Path: "key", Data: []byte("hush")}}},
		runtime.Volume{Name: "etc", Kind: runtime.HostPath, HostPath: "/etc"})
	config.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, HostIP: "127.0.0.1"}, {ContainerPort: 53, HostPort: 53, Protocol: corev1.ProtocolUDP}}
	s := got(names{"podyard"}.sandboxSpec(config, shared{infra: "podyard-infra:x", network: r}, r.firstPod, modern))(t)
	want := []string{
		"sandbox", "--gateway=10.89.0.2", "--gateway-mac=02:42:0a:59:00:02", "--nameserver=10.89.0.2",
		"--search=default.svc.cluster.local,svc.cluster.local,cluster.local", "--option=ndots:5", "--emptydir=/volumes/tmp",
		"--ready=/.volumes-ready",
	}
	if !slices.Equal(s.config.Cmd, want) {
		t.Errorf("command %q\nwant %q", s.config.Cmd, want)
	}
	if s.host.RestartPolicy.Name != container.RestartPolicyUnlessStopped || !slices.Equal(s.host.CapAdd, []string{"NET_ADMIN"}) {
		t.Errorf("restart policy and rights: %+v", s.host)
	}
	if s.network.EndpointsConfig["podyard"].IPAMConfig.IPv4Address != "10.89.1.0" || s.host.OomScoreAdj != -998 {
		t.Errorf("address and score: %+v %d", s.network, s.host.OomScoreAdj)
	}
	if !slices.Equal(s.host.ExtraHosts, []string{"a:10.0.0.1", "b:10.0.0.1"}) || s.host.Sysctls["net.core.somaxconn"] != "1024" {
		t.Errorf("hosts and sysctls: %v %v", s.host.ExtraHosts, s.host.Sysctls)
	}
	if b := s.host.PortBindings["80/tcp"]; len(b) != 1 || b[0].HostPort != "8080" || b[0].HostIP != "127.0.0.1" || len(s.host.PortBindings["53/udp"]) != 1 {
		t.Errorf("ports: %+v", s.host.PortBindings)
	}
	for key, value := range s.config.Labels {
		if strings.Contains(value, "hush") || strings.Contains(value, "aHVzaA") || strings.Contains(value, "Running") {
			t.Errorf("label %s holds what it must not: %s", key, value)
		}
	}
	if len(s.host.Mounts) != 3 || s.host.Mounts[1].VolumeOptions.DriverConfig.Options["type"] != "tmpfs" || !s.host.Mounts[0].VolumeOptions.NoCopy {
		t.Errorf("mounts: %+v", s.host.Mounts)
	}
}

// Kubernetes has one shim for each pod, too.
func TestAPodHasOneShimWhereTheEngineCanBeTold(t *testing.T) {
	pod, other := testPod("web"), testPod("other")
	r := got(parseRanges("10.89.0.0/16"))(t)
	groups := func(pod *corev1.Pod, f facts) []string {
		sandbox := got(names{"podyard"}.sandboxSpec(sandboxOf(pod), shared{infra: "x", network: r}, r.firstPod, f))(t)
		app := convertContainer(t, sandboxEntry(pod), runtime.ContainerConfig{Name: "main"}, f)
		return []string{sandbox.host.Annotations[groupAnnotation], app.host.Annotations[groupAnnotation]}
	}
	f := modern
	f.annotations = true
	if g := groups(pod, f); g[0] == "" || g[0] != g[1] || g[0] == groups(other, f)[0] {
		t.Errorf("sandbox and container are in the groups %q, those of another pod in %q", g, groups(other, f))
	}
	if g := groups(pod, modern); g[0]+g[1] != "" {
		t.Errorf("an engine that knows no annotations is given %q", g)
	}
}

func TestDNSPolicies(t *testing.T) {
	two, five := "2", "5"
	onHost := func(name string, policy corev1.DNSPolicy) *corev1.Pod {
		pod := testPod(name)
		pod.Spec.HostNetwork, pod.Spec.DNSPolicy = true, policy
		return pod
	}
	extended := testPod("d")
	extended.Spec.DNSPolicy = corev1.DNSDefault
	extended.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"9.9.9.9"}, Options: []corev1.PodDNSConfigOption{{Name: "edns0"}}}
	none := testPod("a")
	none.Spec.DNSPolicy = corev1.DNSNone
	none.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}}}
	first := testPod("b")
	first.Spec.DNSConfig = &corev1.PodDNSConfig{
		Nameservers: []string{"10.89.0.2", "9.9.9.9"}, Searches: []string{"corp", "cluster.local"},
		Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}, {Name: "timeout", Value: &five}},
	}
	host := testPod("c")
	host.Spec.DNSPolicy = corev1.DNSDefault
	search := []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"}
	for pod, want := range map[*corev1.Pod]dns{
		none: {servers: []string{"1.1.1.1"}, options: []string{"ndots:2"}},
		first: {
			servers: []string{"10.89.0.2", "9.9.9.9"}, search: append(slices.Clone(search), "corp"),
			options: []string{"ndots:2", "edns0", "timeout:5"},
		},
		host:                                {extend: true},
		extended:                            {servers: []string{"9.9.9.9"}, options: []string{"edns0"}, extend: true},
		onHost("e", corev1.DNSClusterFirst): {extend: true},
		onHost("f", corev1.DNSClusterFirstWithHostNet): {servers: []string{"10.89.0.2"}, search: search, options: []string{"ndots:5"}},
	} {
		if got := dnsOf(sandboxOf(pod), "10.89.0.2"); !reflect.DeepEqual(got, want) {
			t.Errorf("pod %s: %+v\nwant %+v", pod.Name, got, want)
		}
	}
}

func TestASandboxInTheHostsNetworkHasNothingOfItsOwnThere(t *testing.T) {
	pod := testPod("web")
	pod.Spec.HostNetwork = true
	pod.Spec.HostAliases = []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"a", "b"}}}
	config := sandboxOf(pod)
	config.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
	r := got(parseRanges("10.89.0.0/16"))(t)
	s := got(names{"podyard"}.sandboxSpec(config, shared{infra: "podyard-infra:x", network: r}, netip.Addr{}, modern))(t)
	if s.host.NetworkMode != "host" || s.host.UTSMode != "host" || s.network != nil || s.config.Hostname != "" || len(s.host.CapAdd)+len(s.host.PortBindings)+len(s.host.ExtraHosts)+len(s.host.DNS) != 0 {
		t.Errorf("%+v %+v", s.config, s.host)
	}
	if want := []string{"sandbox", "--alias=10.0.0.1,a,b"}; !slices.Equal(s.config.Cmd, want) {
		t.Errorf("command %q, want %q", s.config.Cmd, want)
	}
	if c := convertContainer(t, sandboxEntry(pod), runtime.ContainerConfig{Name: "main", Image: "a"}, modern); c.host.NetworkMode != "container:5a5a" || c.host.UTSMode != "host" {
		t.Errorf("the container: %+v", c.host)
	}
}

func TestASandboxMakesTheFilesOfFirstMessages(t *testing.T) {
	pod := testPod("web", corev1.Container{Name: "main", TerminationMessagePath: "/dev/termination-log"}, corev1.Container{Name: "none"})
	pod.Spec.InitContainers = []corev1.Container{{Name: "first", TerminationMessagePath: "/tmp/end"}}
	r := got(parseRanges("10.89.0.0/16"))(t)
	s := got(names{"podyard"}.sandboxSpec(sandboxOf(pod), shared{infra: "podyard-infra:x", network: r}, r.firstPod, modern))(t)
	if end := s.config.Cmd[len(s.config.Cmd)-2:]; !slices.Equal(end, []string{"--message=/messages/first.0", "--message=/messages/main.0"}) {
		t.Errorf("command %q", s.config.Cmd)
	}
	en := sandboxEntry(pod)
	en.messages = messagesVolume{name: "abc", source: "/var/lib/docker/volumes/abc/_data"}
	config := runtime.ContainerConfig{Name: "main", Image: "a", TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError}
	c := got(names{"podyard"}.containerSpec(en, config, lookedUp{message: "main.0"}, modern))(t)
	if m := c.host.Mounts[0]; m.Source != "abc" || m.VolumeOptions.Subpath != "main.0" || m.Target != "/dev/termination-log" || m.ReadOnly {
		t.Errorf("API 1.45: %+v", m)
	}
	c = got(names{"podyard"}.containerSpec(en, config, lookedUp{message: "main.0"}, facts{}))(t)
	if !slices.Equal(c.host.Binds, []string{"/var/lib/docker/volumes/abc/_data/main.0:/dev/termination-log"}) {
		t.Errorf("API 1.41: %v", c.host.Binds)
	}
	if c.config.Labels[labelMessage] != "main.0" || c.config.Labels[labelFallback] != "true" {
		t.Errorf("labels: %v", c.config.Labels)
	}
}

func TestAContainerForDebuggingSeesTheProcessesOfItsTarget(t *testing.T) {
	pod := testPod("web", corev1.Container{Name: "main"})
	config := runtime.ContainerConfig{Name: "debug", Image: "a", Ephemeral: true, Target: "7a7a"}
	s := convertContainer(t, sandboxEntry(pod), config, modern)
	if s.host.PidMode != "container:7a7a" || s.config.Labels[labelEphemeral] != "true" {
		t.Errorf("%s, %v", s.host.PidMode, s.config.Labels)
	}
	yes := true
	pod.Spec.ShareProcessNamespace = &yes
	if s := convertContainer(t, sandboxEntry(pod), config, modern); s.host.PidMode != "container:5a5a" {
		t.Errorf("where all see all: %s", s.host.PidMode)
	}
}

func TestTheRuntimeIsThatOfTheSandboxAndTheStopSignalAsGiven(t *testing.T) {
	en := sandboxEntry(testPod("web"))
	en.runtime = "runsc"
	s := convertContainer(t, en, runtime.ContainerConfig{Name: "main", Image: "a", StopSignal: "SIGUSR1"}, modern)
	if s.host.Runtime != "runsc" || s.config.StopSignal != "SIGUSR1" {
		t.Errorf("%s %s", s.host.Runtime, s.config.StopSignal)
	}
	r, config := got(parseRanges("10.89.0.0/16"))(t), sandboxOf(testPod("web"))
	config.RuntimeHandler = "runsc"
	if s := got(names{"podyard"}.sandboxSpec(config, shared{infra: "x", network: r}, r.firstPod, modern))(t); s.host.Runtime != "runsc" {
		t.Errorf("the sandbox's: %s", s.host.Runtime)
	}
}

func TestExtendedResourcesBecomeDeviceRequests(t *testing.T) {
	limits := corev1.ResourceList{}
	for name, n := range map[corev1.ResourceName]string{
		"nvidia.com/gpu": "2", "vendor.test/tpu": "2", "amd.test/gpu": "1", "none.test/x": "0", "cpu": "1", "memory": "8Mi",
		"hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi", "kubernetes.io/batch-cpu": "1",
	} {
		limits[name] = resource.MustParse(n)
	}
	want := []container.DeviceRequest{
		{Driver: "cdi", DeviceIDs: []string{"amd.test/gpu=0"}}, {Driver: "cdi", DeviceIDs: []string{"vendor.test/tpu=0", "vendor.test/tpu=1"}},
		{Driver: "nvidia", Count: 2, Capabilities: [][]string{{"gpu"}}},
	}
	if requests, err := deviceRequests(limits, facts{extras: extras{cdi: true}}); err != nil || !reflect.DeepEqual(requests, want) {
		t.Errorf("%+v, %v; want %+v", requests, err, want)
	}
	if _, err := deviceRequests(limits, facts{}); !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), ".test/") {
		t.Errorf("without CDI: %v", err)
	}
	delete(limits, "vendor.test/tpu")
	delete(limits, "amd.test/gpu")
	if requests, err := deviceRequests(limits, facts{}); err != nil || !reflect.DeepEqual(requests, want[2:]) {
		t.Errorf("without CDI: %+v, %v; want the GPU", requests, err)
	}
}

func resources(requestCPU, limitCPU, requestMemory, limitMemory string) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, x := range []struct {
		list  corev1.ResourceList
		name  corev1.ResourceName
		value string
	}{
		{r.Requests, corev1.ResourceCPU, requestCPU}, {r.Limits, corev1.ResourceCPU, limitCPU},
		{r.Requests, corev1.ResourceMemory, requestMemory}, {r.Limits, corev1.ResourceMemory, limitMemory},
	} {
		if x.value != "" {
			x.list[x.name] = resource.MustParse(x.value)
		}
	}
	return r
}

func TestResourcesAndOOMScores(t *testing.T) {
	for _, c := range []struct {
		name                 string
		in                   corev1.ResourceRequirements
		shares, quota, bytes int64
		score                int
	}{
		{"nothing: best effort", resources("", "", "", ""), 2, 0, 0, 1000},
		{"equal: guaranteed", resources("500m", "500m", "64Mi", "64Mi"), 512, 50000, 64 << 20, -997},
		{"limits only: guaranteed", resources("", "250m", "", "64Mi"), 256, 25000, 64 << 20, -997},
		{"a quarter of the memory", resources("100m", "", "1Gi", ""), 102, 0, 0, 750},
		{"a little memory stays above best effort", resources("", "", "1Ki", ""), 2, 0, 0, 999},
		{"all of the memory stays below guaranteed", resources("", "", "4Gi", ""), 2, 0, 0, 3},
		{"a tiny quota", resources("1m", "1m", "", ""), 2, 1000, 0, 999},
	} {
		pod := testPod("web", corev1.Container{Name: "main", Resources: c.in})
		s := convertContainer(t, sandboxEntry(pod), runtime.ContainerConfig{Name: "main", Image: "a", Resources: c.in}, modern)
		r := s.host.Resources
		if r.CPUShares != c.shares || r.CPUQuota != c.quota || r.Memory != c.bytes || r.MemorySwap != c.bytes || s.host.OomScoreAdj != c.score {
			t.Errorf("%s: shares %d, quota %d, memory %d (swap %d), score %d", c.name, r.CPUShares, r.CPUQuota, r.Memory, r.MemorySwap, s.host.OomScoreAdj)
		}
	}
	always := corev1.ContainerRestartPolicyAlways
	pod := testPod("web", corev1.Container{Name: "main", Resources: resources("", "", "1Gi", "")}, corev1.Container{Name: "large", Resources: resources("", "", "2Gi", "")})
	pod.Spec.InitContainers = []corev1.Container{{Name: "init"}, {Name: "side", RestartPolicy: &always}}
	for name, want := range map[string]int{"init": 999, "side": 750} {
		if got := oomScoreAdj(pod, name, nil, 4<<30); got != want {
			t.Errorf("the score of %s is %d, want %d", name, got, want)
		}
	}
	pod.Spec.PriorityClassName = nodeCritical
	if got := oomScoreAdj(pod, "main", nil, 4<<30); got != -997 {
		t.Errorf("the score of a pod critical to the node is %d", got)
	}
	guaranteed := testPod("web", corev1.Container{Name: "main", Resources: resources("1", "1", "1Gi", "1Gi")})
	guaranteed.Spec.InitContainers = []corev1.Container{{Name: "init", Resources: resources("1", "1", "1Gi", "")}}
	if got := qosClass(&guaranteed.Spec); got != corev1.PodQOSBurstable {
		t.Errorf("an init container without a limit leaves the pod %s", got)
	}
	if got := (facts{}).allowed(-997); got != 0 {
		t.Errorf("an engine that may not lower scores is asked for %d", got)
	}
}

func TestUsersGroupsAndPrivileges(t *testing.T) {
	uid, gid, fs, no := int64(1000), int64(3000), int64(2000), false
	s := convertContainer(t, sandboxEntry(testPod("web")), runtime.ContainerConfig{
		Name: "main", Image: "a",
		PodSecurity: &corev1.PodSecurityContext{RunAsUser: new(int64), RunAsGroup: &gid, FSGroup: &fs, SupplementalGroups: []int64{7}},
		SecurityContext: &corev1.SecurityContext{
			RunAsUser: &uid, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: new(bool),
			Capabilities:   &corev1.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}, Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
		},
	}, modern)
	if s.config.User != "1000:3000" || !slices.Equal(s.host.GroupAdd, []string{"2000", "7"}) {
		t.Errorf("user %q, groups %v", s.config.User, s.host.GroupAdd)
	}
	if !slices.Equal(s.host.SecurityOpt, []string{"no-new-privileges", "seccomp=unconfined"}) || s.host.CapDrop[0] != "ALL" || s.host.CapAdd[0] != "NET_BIND_SERVICE" {
		t.Errorf("privileges: %v %v %v", s.host.SecurityOpt, s.host.CapAdd, s.host.CapDrop)
	}
	if got := userOf(&corev1.SecurityContext{RunAsGroup: &gid}, "app:app"); got != "app:3000" {
		t.Errorf("a group alone: %q, want the image's user with it", got)
	}
}

func TestRunAsNonRootIsVerifiedBeforeTheStart(t *testing.T) {
	yes, root, uid := true, int64(0), int64(1)
	for _, c := range []struct {
		user  *int64
		image string
		want  string
	}{
		{&uid, "", ""}, {nil, "1000", ""}, {nil, "1000:0", ""},
		{&root, "1000", "container's runAsUser breaks non-root policy"},
		{nil, "", "container has runAsNonRoot and image will run as root"},
		{nil, "0:5", "container has runAsNonRoot and image will run as root"},
		{nil, "app", "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root"},
	} {
		err := verifyNonRoot(testPod("web"), "main", &corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: c.user}, c.image)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, runtime.ErrInvalid) || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("image user %q: %v, want %q", c.image, err, c.want)
		}
	}
}

func TestAPartOfAVolume(t *testing.T) {
	volume := sandboxVolume{Volume: runtime.Volume{Name: "data", Kind: runtime.EmptyDir}, Source: "/var/lib/docker/volumes/x/_data"}
	en := sandboxEntry(testPod("web"), volume)
	part := []runtime.Mount{{Volume: "data", Path: "/srv", SubPath: "a/b", ReadOnly: true}}
	config := runtime.ContainerConfig{Name: "main", Image: "a", Mounts: part}
	s := convertContainer(t, en, config, modern)
	if m := s.host.Mounts[0]; m.VolumeOptions.Subpath != "a/b" || !m.ReadOnly || len(s.host.Binds) != 0 {
		t.Errorf("API 1.45: %+v %v", m, s.host.Binds)
	}
	s = convertContainer(t, en, config, facts{})
	if !slices.Equal(s.host.Binds, []string{"/var/lib/docker/volumes/x/_data/a/b:/srv:ro"}) || len(s.host.Mounts) != 0 {
		t.Errorf("API 1.41: %v", s.host.Binds)
	}
	if s.config.Labels[labelSubPaths] != `["/volumes/data/a/b"]` {
		t.Errorf("label: %s", s.config.Labels[labelSubPaths])
	}
	for _, outside := range []string{"../x", "/x", "a/../../x"} {
		config.Mounts = []runtime.Mount{{Volume: "data", Path: "/srv", SubPath: outside}}
		if _, err := (names{"podyard"}).containerSpec(en, config, lookedUp{}, modern); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("subPath %q: %v, want it refused", outside, err)
		}
	}
}

func TestSecondsAreRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 1: 1, time.Second: 1, 1500 * time.Millisecond: 2} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
