package runtimetest

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

var realResourceChecks = []Check{
	{Name: "resources: cgroup and OOM score by QoS class", run: resources},
	{Name: "resources.limits.memory: what takes more is OOMKilled", run: outOfMemory},
}

func list(cpu, memory string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
		if text != "" {
			out[name] = resource.MustParse(text)
		}
	}
	return out
}

// resources compares what the kernel says: "shares quota/period memory score". A low score is -997, or 0 where the engine
// may not lower scores.
// cgroup v2 counts shares from 1 to 10000: 2 + (shares-2)*9999/262142.
func resources(f *fixture) {
	const look = `c=/sys/fs/cgroup; s=$(cat /proc/1/oom_score_adj | sed 's/^-997$\|^0$/low/')
		if [ -f $c/cpu.max ]; then echo "v2 $(cat $c/cpu.weight) $(tr ' ' / <$c/cpu.max) $(cat $c/memory.max) $s"
		else echo "v1 $(cat $c/cpu/cpu.shares) $(cat $c/cpu/cpu.cfs_quota_us)/$(cat $c/cpu/cpu.cfs_period_us) $(cat $c/memory/memory.limit_in_bytes) $s"; fi`
	for _, c := range []struct {
		name             string
		requests, limits corev1.ResourceList
		v1, v2           string
	}{
		{"best-effort", nil, nil, "2 -1/100000 9223372036854771712 1000", "1 max/100000 max 1000"},
		{"guaranteed", list("250m", "32Mi"), list("250m", "32Mi"), "256 25000/100000 33554432 low", "10 25000/100000 33554432 low"},
		{"limits", nil, list("1500m", "32Mi"), "1536 150000/100000 33554432 low", "59 150000/100000 33554432 low"},
		{"burstable", list("500m", ""), list("", "64Mi"), "512 -1/100000 67108864 999", "20 max/100000 67108864 999"},
	} {
		config := f.containerConfig("main", Behaviour{Kind: Sleep})
		config.Resources = corev1.ResourceRequirements{Requests: c.requests, Limits: c.limits}
		sandbox := f.config(c.name)
		sandbox.Pod.Spec.Containers[0].Resources = config.Resources
		pod, err := f.Runtime.CreateSandbox(f.ctx, sandbox)
		f.must(err)
		f.must(f.Runtime.StartSandbox(f.ctx, pod))
		version, got, _ := strings.Cut(strings.TrimSpace(f.sh(f.start(pod, config), look)), " ")
		if want := map[string]string{"v1": c.v1, "v2": c.v2}[version]; got != want {
			f.Errorf("%s: cgroup %s has %q; want %q", c.name, version, got, want)
		}
	}
}

func outOfMemory(f *fixture) {
	config := f.containerConfig("main", Behaviour{Kind: Sleep})
	config.Command = []string{"tail", "/dev/zero"}
	config.Resources = corev1.ResourceRequirements{Limits: list("", "16Mi")}
	ended := f.ends(f.pod("web"), config)
	if ended.ExitCode != 137 {
		f.Errorf("it ended with %d; want 137", ended.ExitCode)
	}
	// Why, an engine may learn a moment later.
	f.until("it is OOMKilled", func() bool { return f.observe(ended.ID).OOMKilled })
}
