package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// check is called after every change on the engine: no pod is created beyond the surge, containers begin in their order,
// and no volume is lost.
func (s *simulation) check(state runtime.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastChange = time.Now()
	for i := range state.Pods {
		pod := &state.Pods[i]
		s.checkOrder(pod)
		for j := range pod.Containers {
			s.checkRestart(pod, &pod.Containers[j])
		}
	}
	s.checkVolumes(state.Volumes)
	s.checkJob(&state)
	s.witness(&state)
	for i := range state.Pods {
		pod := &state.Pods[i]
		if s.seen[pod.ID] || pod.Phase == runtime.Missing {
			continue
		}
		s.seen[pod.ID] = true
		s.checkBorn(&state, pod)
		s.checkWave(pod)
		kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
		if kind != "Deployment" {
			s.checkWorkload(&state, pod)
			continue
		}
		if n, most := s.staying(state.Pods, "Deployment/"+name), s.most(name); n > most {
			s.Errorf("Deployment %s has %d pods, at most %d are allowed:%s", name, n, most, s.describe(state.Pods))
		}
	}
}

// describe lists pods for a failure's message. The caller holds mu.
func (s *simulation) describe(pods []runtime.Pod) string {
	out := fmt.Sprintf(" now %s, last commits %d", time.Now().Format("04:05.000"), len(s.lastCommits()))
	for i := range pods {
		pod := &pods[i]
		image := ""
		if pod.Phase != runtime.Missing {
			image = pod.Manifest.Spec.Containers[0].Image
		}
		out += fmt.Sprintf("\n%s %s %s created %s", pod.Manifest.Name, pod.Phase, image, pod.CreatedAt.Format("04:05.000"))
		if s.removing(pod.ID) {
			out += " stopping"
		}
	}
	return out
}

// staying counts an owner's pods that nobody is removing.
func (s *simulation) staying(pods []runtime.Pod, owner string) int {
	s.reconciler.mu.Lock()
	defer s.reconciler.mu.Unlock()
	n := 0
	for _, pod := range pods {
		if pod.Manifest.Annotations["podyard.dev/owner"] == owner && pod.Phase != runtime.Missing && !s.reconciler.stopping[pod.ID] {
			n++
		}
	}
	return n
}

// most is the largest number of pods that the last commits allow.
func (s *simulation) most(name string) int {
	most := 0
	for _, set := range s.standingCommits() {
		if d := find(set, name); d != nil {
			surge, _ := bounds(d)
			_, wanted := replicasOf(set, d)
			most = max(most, wanted+surge)
		}
	}
	return most
}

// lastCommits are those whose actions may still land: the newest, and what it or its like replaced a moment ago.
func (s *simulation) lastCommits() []*manifests.Set {
	i := len(s.commits) - 1
	for ; i > 0 && time.Since(s.commits[i].Since) < 15*time.Second; i-- {
	}
	return s.commits[max(i, 0):]
}

func find(set *manifests.Set, name string) *appsv1.Deployment {
	if o := set.Find("Deployment", "default", name); o != nil {
		return o.Value.(*appsv1.Deployment)
	}
	return nil
}

// bounds resolves surge and unavailable independently of the planner. Recreate allows neither limit to be relied on.
func bounds(d *appsv1.Deployment) (surge, unavailable int) {
	replicas := int(*d.Spec.Replicas)
	if d.Spec.Strategy.RollingUpdate == nil {
		return 0, replicas
	}
	part := func(v *intstr.IntOrString, up bool) int {
		if v.Type == intstr.Int {
			return v.IntValue()
		}
		var percent int
		if _, err := fmt.Sscanf(v.StrVal, "%d%%", &percent); err != nil {
			return 0
		}
		if up {
			return (replicas*percent + 99) / 100
		}
		return replicas * percent / 100
	}
	surge, unavailable = part(d.Spec.Strategy.RollingUpdate.MaxSurge, true), part(d.Spec.Strategy.RollingUpdate.MaxUnavailable, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// checkOrder looks at every container that has just begun: the init containers before it have done their part in this
// sandbox, and an init container has no app container beside it.
func (s *simulation) checkOrder(pod *runtime.Pod) {
	if pod.Phase != runtime.Running || s.tampered[string(pod.Manifest.UID)] {
		return
	}
	for i := range pod.Containers {
		c := &pod.Containers[i]
		key := start{c.ID, c.StartedAt}
		if c.State != runtime.Running || c.StartedAt.Before(pod.StartedAt) || s.begun[key] {
			continue
		}
		s.begun[key] = true
		s.checkHookRun(pod)
		if time.Since(s.lastChaos) < 2*time.Second {
			continue // it was under way when its sandbox was restarted
		}
		for j := range pod.Manifest.Spec.InitContainers {
			spec := &pod.Manifest.Spec.InitContainers[j]
			if spec.Name == c.Name {
				s.checkAlone(pod, spec)
				break
			}
			if !inPlace(pod, spec) {
				s.Errorf("container %s of pod %s begins before %s has done its part: %+v", c.Name, pod.Manifest.Name, spec.Name, pod.Containers)
			}
		}
	}
}

// inPlace: an init container that succeeded in this sandbox, a sidecar that began in it.
func inPlace(pod *runtime.Pod, spec *corev1.Container) bool {
	return slices.ContainsFunc(pod.Containers, func(c runtime.Container) bool {
		here := c.Name == spec.Name && !c.StartedAt.IsZero() && !c.StartedAt.Before(pod.StartedAt) && c.State != runtime.Created
		return here && (isSidecar(spec) || c.State == runtime.Exited && c.ExitCode == 0)
	})
}

func (s *simulation) checkAlone(pod *runtime.Pod, spec *corev1.Container) {
	for _, c := range pod.Containers {
		if c.Name == "main" && c.State == runtime.Running && !c.StartedAt.Before(pod.StartedAt) && !isSidecar(spec) {
			s.Errorf("init container %s of pod %s begins beside main", spec.Name, pod.Manifest.Name)
		}
	}
}

// checkVolumes: what persists is there for ever, unless a StatefulSet let it go.
func (s *simulation) checkVolumes(volumes []runtime.PersistentVolume) {
	present := map[string]bool{}
	for _, v := range volumes {
		present[v.Name], s.volumes[v.Name] = true, true
	}
	for name := range s.volumes {
		if present[name] {
			continue
		}
		if !s.removed[name] {
			s.Errorf("volume %s is lost", name)
		}
		delete(s.volumes, name)
		delete(s.removed, name)
	}
}

// removeContainer removes one behind the daemon's back. If it was an init container, nobody knows any more that it ran.
func (s *simulation) removeContainer(id string) {
	for _, pod := range s.engine.Truth().Pods {
		for _, c := range pod.Containers {
			if c.ID == id {
				s.mu.Lock()
				s.tampered[string(pod.Manifest.UID)] = true
				s.mu.Unlock()
			}
		}
	}
	s.engine.RemoveBehindBack(id)
}

// guard sees every stop before the engine does: no pod that serves is stopped below the minimum, none that a Service still
// leads to, and none without its preStop hook. And it sees the routes: none leads to a pod whose postStart hook still runs.
type guard struct {
	*fake.Engine
	s *simulation
}

// Exec runs hooks. A preStop hook is where a stop begins.
func (g *guard) Exec(ctx context.Context, id string, options runtime.ExecOptions, stdout, stderr io.Writer) (int, error) {
	if pod, c := g.s.locate(id); c != nil {
		if spec := containerSpec(pod.Manifest, c.Name); spec.Lifecycle != nil && isCommand(spec.Lifecycle.PreStop, options.Command) {
			g.s.checkHook(id, pod.Manifest.Name)
			g.s.checkStop(id)
		}
	}
	code, err := g.Engine.Exec(ctx, id, options, stdout, stderr)
	return code, g.s.met(err)
}

func isCommand(hook *corev1.LifecycleHandler, command []string) bool {
	return hook != nil && slices.Equal(hook.Exec.Command, command)
}

func (g *guard) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	g.s.checkStop(id)
	if pod, c := g.s.locate(id); c != nil && c.State == runtime.Running {
		spec := containerSpec(pod.Manifest, c.Name)
		g.s.checkTold(pod, c, grace)
		if spec.Lifecycle != nil && spec.Lifecycle.PreStop != nil && grace > 0 && !g.s.wasHooked(id) {
			g.s.Errorf("container %s of pod %s is told to stop before its preStop hook", c.Name, pod.Manifest.Name)
		}
	}
	return g.s.met(g.Engine.StopContainer(ctx, id, grace))
}

func (g *guard) CreateContainer(ctx context.Context, sandbox string, config runtime.ContainerConfig) (string, error) {
	id, err := g.Engine.CreateContainer(ctx, sandbox, config)
	return id, g.s.met(err)
}

func (g *guard) StartContainer(ctx context.Context, id string) error {
	return g.s.met(g.Engine.StartContainer(ctx, id))
}

func (g *guard) State(ctx context.Context) (*runtime.State, error) {
	state, err := g.Engine.State(ctx)
	return state, g.s.met(err)
}

// PullImage fails, and waits 10 s, 20 s, 40 s, … 5 min until it is tried again.
func (g *guard) PullImage(ctx context.Context, ref string, credentials []runtime.Credential) (runtime.Image, error) {
	g.s.checkPull(ref)
	image, err := g.Engine.PullImage(ctx, ref, credentials)
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if last := g.s.pulls[ref]; err == nil || ctx.Err() != nil {
		delete(g.s.pulls, ref)
	} else {
		g.s.pulls[ref] = failedPull{min(max(2*last.wait, 10*time.Second), 5*time.Minute), time.Now()}
	}
	return image, err
}

// failedPull is the last of a row, and for how long the next must wait.
type failedPull struct {
	wait time.Duration
	at   time.Time
}

func (s *simulation) checkPull(ref string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, failed := s.pulls[ref]; failed && time.Since(last.at) < last.wait {
		s.Errorf("image %s is pulled %s after that failed, not after %s", ref, time.Since(last.at), last.wait)
	}
}

// met notes that a fault was met: it may have lain in wait for long.
func (s *simulation) met(err error) error {
	if errors.Is(err, fake.ErrInjected) {
		s.chaos()
	}
	return err
}

// checkHook: a preStop hook runs once in the life of a daemon.
func (s *simulation) checkHook(id, pod string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooked[id] == s.reconciler && s.undisturbed(time.Minute) {
		s.Errorf("the preStop hook of pod %s runs again", pod)
	}
	s.hooked[id] = s.reconciler
}

func (g *guard) Route(ctx context.Context, routes runtime.Routes) error {
	g.s.checkStarted(g.Engine.Truth(), routes)
	g.s.checkReady(g.Engine.Truth(), routes)
	g.s.checkPorts(g.Engine.Truth(), routes)
	return g.Engine.Route(ctx, routes)
}

// checkStarted: a postStart hook of three seconds ends three seconds after its container began.
func (s *simulation) checkStarted(state *runtime.State, routes runtime.Routes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := readyAddresses(&runtime.State{Routes: routes})
	for i := range state.Pods {
		pod := &state.Pods[i]
		c := plan.Latest(pod, "main")
		if !ready[pod.IP] || c == nil || c.State != runtime.Running || time.Since(s.lastChaos) < 10*time.Second {
			continue
		}
		spec := containerSpec(pod.Manifest, "main")
		if isCommand(spec.Lifecycle.PostStart, []string{"sleep", "3"}) && time.Since(c.StartedAt) < 3*time.Second {
			s.Errorf("Services lead to pod %s %s after its container began: its postStart hook still runs", pod.Manifest.Name, time.Since(c.StartedAt))
		}
	}
}

// locate finds a container of a pod whose manifest is known.
func (s *simulation) locate(id string) (*runtime.Pod, *runtime.Container) {
	state := s.engine.Truth()
	for i := range state.Pods {
		for j := range state.Pods[i].Containers {
			if c := &state.Pods[i].Containers[j]; c.ID == id && state.Pods[i].Phase != runtime.Missing {
				return &state.Pods[i], c
			}
		}
	}
	return nil, nil
}

func (s *simulation) wasHooked(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooked[id] != nil
}

// checkStop looks at the first moment of a stop: later, others may have ended by themselves.
func (s *simulation) checkStop(container string) {
	state := s.engine.Truth()
	s.mu.Lock()
	defer s.mu.Unlock()
	begun := s.stopped[container]
	s.stopped[container] = true
	if begun {
		return
	}
	s.noteStop(state, container)
	if time.Since(s.lastChaos) < 10*time.Second {
		return // the daemon may not know yet what was broken
	}
	for i := range state.Pods {
		pod := &state.Pods[i]
		c := plan.Latest(pod, "main")
		kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
		if c != nil && c.ID == container {
			s.checkStopOf(state, pod, c)
		}
		if c == nil || c.ID != container || kind != "Deployment" || !serves(pod) || !s.removing(pod.ID) {
			continue
		}
		s.checkRouted(state, pod)
		if settled(pod) { // it counts as available by now
			s.checkMinimum(state, name)
		}
	}
}

func (s *simulation) removing(id string) bool {
	s.reconciler.mu.Lock()
	defer s.reconciler.mu.Unlock()
	return s.reconciler.stopping[id]
}

func (s *simulation) checkRouted(state *runtime.State, pod *runtime.Pod) {
	for _, slice := range state.Routes.Endpoints {
		for _, e := range slice.Endpoints {
			if e.Addresses[0] == pod.IP && *e.Conditions.Ready {
				s.Errorf("pod %s is stopped while Service %s leads to it", pod.Manifest.Name, slice.Labels[discoveryv1.LabelServiceName])
			}
		}
	}
}

// checkMinimum counts the pods of a Deployment that serve and that nobody removes, against the lower of the minima of the
// last commits.
func (s *simulation) checkMinimum(state *runtime.State, name string) {
	least, minReady := -1, int32(math.MaxInt32)
	for _, set := range s.deciding() {
		d := find(set, name)
		if d == nil {
			return // it is being pruned
		}
		_, unavailable := bounds(d)
		wanted, _ := replicasOf(set, d)
		if n := max(wanted-unavailable, 0); least < 0 || n < least {
			least = n
		}
		minReady = min(minReady, d.Spec.MinReadySeconds)
	}
	n := 0
	for i := range state.Pods {
		pod := &state.Pods[i]
		if pod.Manifest.Annotations["podyard.dev/owner"] == "Deployment/"+name && !s.removing(pod.ID) && (ripe(pod, minReady) || s.mayPass(pod)) {
			n++
		}
	}
	if n < least {
		s.Errorf("Deployment %s has %d serving pods, at least %d must stay:%s", name, n, least, s.describe(state.Pods))
	}
}

// serves tells what is really so, not what probes have found; but that a program ceases to answer counts when they must have
// found it: three failures in a row, one in ten seconds.
func serves(pod *runtime.Pod) bool {
	for _, spec := range containersOf(&pod.Manifest.Spec) {
		if spec.Name != "main" && !isSidecar(spec) {
			continue
		}
		c := plan.Latest(pod, spec.Name)
		if pod.Phase != runtime.Running || c == nil || c.State != runtime.Running || c.StartedAt.Before(pod.StartedAt) ||
			spec.ReadinessProbe != nil && time.Since(c.StartedAt) < programs[c.Image].ReadyAfter {
			return false
		}
		if until := programs[c.Image].LiveUntil; until > 0 && time.Since(c.StartedAt) > until+45*time.Second {
			return false
		}
	}
	return true
}
