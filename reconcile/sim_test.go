package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// TestSimulation runs random histories of commits, crashes, restarts of the daemon and faults of the engine against the
// fake, in fake time. After every change on the engine it checks what must never happen; at the end it checks that what
// runs is what the last commit says, and that nothing moves any more. A failure prints the seed that replays it
// (-rapid.seed). Run more with make sim.
//
// Bugs planted once and caught here within 150 histories: the surge and the minimum off by one, maxUnavailable rounded up,
// minReadySeconds ignored, pods under way not counted, stops before routes, stranded containers and stopped sandboxes left
// alone, failed actions and engine errors not tried again, nothing pruned. Found by it in the making: a loop that ended
// when the engine was down at its start, creations of a superseded commit that went beyond the surge, and a pod whose
// removal failed that counted as staying.
func TestSimulation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.SampledFrom(stepNames()), 3, 25).Draw(t, "steps")
		rapid.SyncTest(t, func(t *rapid.T) {
			s := newSimulation(t)
			defer s.stop()
			s.commit()
			for _, step := range steps {
				stepsByName[step](s)
				s.pause()
				s.checkForeign()
			}
			s.converge()
		})
	})
}

// programs are what images do: good ones, and each way of being bad.
var programs = map[string]fake.Program{
	"good:1":  {},
	"good:2":  {ReadyAfter: 2 * time.Second},
	"good:3":  {ReadyAfter: 200 * time.Millisecond, StopTime: 3 * time.Second},
	"slow":    {ReadyAfter: 40 * time.Second, IgnoreTERM: true},
	"crash":   {ExitAfter: 3 * time.Second, ExitCode: 1},
	"never":   {ReadyAfter: fake.Never},
	"missing": {Missing: true},
	"broken":  {StartError: "exec: no such file or directory"},
}

var stepsByName = map[string]func(*simulation){
	"commit":         (*simulation).commit,
	"commit again":   (*simulation).commit,
	"crash":          func(s *simulation) { s.onContainer(func(id string) { s.engine.KillContainer(id, 1) }) },
	"remove":         func(s *simulation) { s.onContainer(s.engine.RemoveBehindBack) },
	"kill sandbox":   func(s *simulation) { s.onSandbox(s.engine.KillSandbox) },
	"crash sandbox":  func(s *simulation) { s.onSandbox(s.engine.RestartSandbox) },
	"lose sandbox":   func(s *simulation) { s.onSandbox(s.engine.RemoveBehindBack) },
	"restart engine": func(s *simulation) { s.chaos(); s.engine.RestartEngine() },
	"restart daemon": (*simulation).restartDaemon,
	"fault":          (*simulation).fault,
	"lost answer":    (*simulation).lostAnswer,
	"deaf":           func(s *simulation) { s.engine.DropEvents(true) },
}

func stepNames() []string { return slices.Sorted(maps.Keys(stepsByName)) }

// simulation is one history.
type simulation struct {
	*rapid.T
	engine *fake.Engine
	cancel context.CancelFunc
	done   chan struct{}

	mu         sync.Mutex
	reconciler *Reconciler
	// commits, newest last. lastChaos is when something was last broken that the daemon may not know yet.
	commits   []*manifests.Set
	lastChaos time.Time
	seen      map[string]bool
}

func newSimulation(t *rapid.T) *simulation {
	s := &simulation{T: t, seen: map[string]bool{}}
	s.engine = fake.New(fake.Options{Images: programs, OnChange: s.check})
	s.engine.AddForeign("container", "somebody-elses")
	s.engine.AddForeign("volume", "photos")
	s.engine.AddForeign("network", "bridge")
	if err := s.engine.Ensure(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	s.startDaemon()
	return s
}

func (s *simulation) startDaemon() {
	ctx, cancel := context.WithCancel(context.Background())
	r := New(&guard{Engine: s.engine, s: s}, Options{Workers: 4})
	s.mu.Lock()
	s.reconciler = r
	if len(s.commits) > 0 {
		r.SetDesired(s.commits[len(s.commits)-1])
	}
	s.mu.Unlock()
	s.cancel, s.done = cancel, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		r.Run(ctx)
	}(s.done)
}

func (s *simulation) stop() {
	s.cancel()
	<-s.done
}

func (s *simulation) restartDaemon() {
	s.chaos()
	s.stop()
	s.engine.Reconnect()
	s.startDaemon()
}

func (s *simulation) chaos() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastChaos = time.Now()
}

func (s *simulation) pause() {
	time.Sleep(time.Duration(rapid.IntRange(0, 30_000).Draw(s.T, "pause")) * time.Millisecond)
}

// commit makes up a new desired state: up to three Deployments with a Service each, and a bare pod.
func (s *simulation) commit() {
	set := &manifests.Set{Since: time.Now()}
	for _, name := range []string{"api", "db", "web"} {
		if rapid.IntRange(0, 5).Draw(s.T, "keep "+name) > 0 {
			add(set, "Deployment", name, s.randomDeployment(name, slices.Sorted(maps.Keys(programs))))
			add(set, "Service", name, service(name))
		}
	}
	if rapid.Bool().Draw(s.T, "bare pod") {
		add(set, "Pod", "one", barePod(rapid.SampledFrom([]string{"good:1", "good:2", "crash"}).Draw(s.T, "image")))
	}
	s.deploy(set)
}

func (s *simulation) deploy(set *manifests.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits = append(s.commits, set)
	s.reconciler.SetDesired(set)
}

func (s *simulation) randomDeployment(name string, images []string) *appsv1.Deployment {
	replicas := int32(rapid.IntRange(0, 6).Draw(s.T, "replicas"))
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, MinReadySeconds: int32(rapid.IntRange(0, 5).Draw(s.T, "minReady")),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		},
	}
	d.Spec.Template.Labels = map[string]string{"app": name}
	d.Spec.Template.Spec = podSpec(rapid.SampledFrom(images).Draw(s.T, "image"))
	d.Spec.Template.Spec.TerminationGracePeriodSeconds = pointer(int64(10))
	if rapid.IntRange(0, 4).Draw(s.T, "strategy") == 0 {
		d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
		return d
	}
	surge, unavailable := intstr.FromInt(rapid.IntRange(0, 3).Draw(s.T, "surge")), intstr.FromString("25%")
	if rapid.Bool().Draw(s.T, "percent") {
		surge, unavailable = intstr.FromString("25%"), intstr.FromInt(rapid.IntRange(0, 2).Draw(s.T, "unavailable"))
	}
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}}
	return d
}

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{
		Name: "main", Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(80)}},
			PeriodSeconds: 5, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
		},
	}}}
}

func barePod(image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}, Spec: podSpec(image)}
}

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}}}
}

func add(set *manifests.Set, kind, name string, value any) {
	ref := manifests.Ref{Kind: kind, Namespace: "default", Name: name}
	set.Objects = append(set.Objects, &manifests.Object{Ref: ref, Value: value})
}

func pointer[T any](v T) *T { return &v }

func (s *simulation) onContainer(f func(id string)) {
	var ids []string
	for _, pod := range s.state().Pods {
		for _, c := range pod.Containers {
			ids = append(ids, c.ID)
		}
	}
	s.onOne(ids, f)
}

func (s *simulation) onSandbox(f func(id string)) {
	var ids []string
	for _, pod := range s.state().Pods {
		ids = append(ids, pod.ID)
	}
	s.onOne(ids, f)
}

func (s *simulation) onOne(ids []string, f func(id string)) {
	if len(ids) == 0 {
		return
	}
	s.chaos()
	f(ids[rapid.IntRange(0, len(ids)-1).Draw(s.T, "victim")])
}

var verbs = []string{"CreateSandbox", "StartSandbox", "RemoveSandbox", "CreateContainer", "StartContainer", "StopContainer", "RemoveContainer", "PullImage", "Route", "State", "ImageStatus"}

func (s *simulation) fault() {
	s.chaos()
	s.engine.Inject(fake.Fault{Verb: rapid.SampledFrom(verbs).Draw(s.T, "verb"), Times: rapid.IntRange(1, 3).Draw(s.T, "times")})
}

func (s *simulation) lostAnswer() {
	s.chaos()
	s.engine.Inject(fake.Fault{Verb: rapid.SampledFrom(verbs[:7]).Draw(s.T, "verb"), Times: 1, After: true})
}

func (s *simulation) state() *runtime.State {
	for {
		state, err := s.engine.State(context.Background())
		if err == nil {
			return state
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *simulation) checkForeign() {
	if got, want := s.engine.Foreign(), []string{"container somebody-elses", "network bridge", "volume photos"}; !slices.Equal(got, want) {
		s.Fatalf("foreign things on the engine: %v, want %v", got, want)
	}
}

// check is called after every change on the engine: no pod is created beyond the surge.
func (s *simulation) check(state runtime.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range state.Pods {
		pod := &state.Pods[i]
		if s.seen[pod.ID] || pod.Phase == runtime.Missing {
			continue
		}
		s.seen[pod.ID] = true
		kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
		if kind != "Deployment" {
			continue
		}
		if n, most := s.staying(state.Pods, name), s.most(name); n > most {
			s.Errorf("Deployment %s has %d pods, at most %d are allowed:%s", name, n, most, s.describe(state.Pods))
		}
	}
}

// describe lists pods for a failure's message. The caller holds mu.
func (s *simulation) describe(pods []runtime.Pod) string {
	out := fmt.Sprintf(" now %s, last commits %d", time.Now().Format("04:05.000"), len(s.lastCommits()))
	for i := range pods {
		pod := &pods[i]
		out += fmt.Sprintf("\n%s %s %s created %s", pod.Manifest.Name, pod.Phase, pod.Manifest.Spec.Containers[0].Image, pod.CreatedAt.Format("04:05.000"))
		if s.removing(pod.ID) {
			out += " stopping"
		}
	}
	return out
}

// staying counts a Deployment's pods that nobody is removing.
func (s *simulation) staying(pods []runtime.Pod, name string) int {
	s.reconciler.mu.Lock()
	defer s.reconciler.mu.Unlock()
	n := 0
	for _, pod := range pods {
		if pod.Manifest.Annotations["podyard.dev/owner"] == "Deployment/"+name && pod.Phase != runtime.Missing && !s.reconciler.stopping[pod.ID] {
			n++
		}
	}
	return n
}

// most is the largest number of pods that the last commits allow.
func (s *simulation) most(name string) int {
	most := 0
	for _, set := range s.lastCommits() {
		if d := find(set, name); d != nil {
			surge, _ := bounds(d)
			most = max(most, int(*d.Spec.Replicas)+surge)
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

// guard sees every stop before the engine does: no pod that serves is stopped below the minimum, and none that a Service
// still leads to.
type guard struct {
	*fake.Engine
	s *simulation
}

func (g *guard) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	g.s.checkStop(id)
	return g.Engine.StopContainer(ctx, id, grace)
}

func (s *simulation) checkStop(container string) {
	state, err := s.engine.State(context.Background())
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.lastChaos) < 10*time.Second {
		return // the daemon may not know yet what was broken
	}
	for i := range state.Pods {
		pod := &state.Pods[i]
		c := plan.Latest(pod, "main")
		kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
		if c == nil || c.ID != container || kind != "Deployment" || !serves(pod) || !s.removing(pod.ID) {
			continue
		}
		s.checkRouted(state, pod)
		if time.Since(c.StartedAt) > programs[c.Image].ReadyAfter+15*time.Second { // it counts as available by now
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
				s.Errorf("pod %s is stopped while Service %s leads to it", pod.Manifest.Name, slice.Name)
			}
		}
	}
}

// checkMinimum counts the pods of a Deployment that serve and that nobody removes, against the lower of the minima of the
// last commits.
func (s *simulation) checkMinimum(state *runtime.State, name string) {
	least := -1
	for _, set := range s.lastCommits() {
		d := find(set, name)
		if d == nil {
			return // it is being pruned
		}
		_, unavailable := bounds(d)
		if n := int(*d.Spec.Replicas) - unavailable; least < 0 || n < least {
			least = n
		}
	}
	n := 0
	for i := range state.Pods {
		pod := &state.Pods[i]
		if pod.Manifest.Annotations["podyard.dev/owner"] == "Deployment/"+name && serves(pod) && !s.removing(pod.ID) {
			n++
		}
	}
	if n < least {
		s.Errorf("Deployment %s has %d serving pods, at least %d must stay", name, n, least)
	}
}

// serves tells what is really so, not what probes have found.
func serves(pod *runtime.Pod) bool {
	c := plan.Latest(pod, "main")
	return pod.Phase == runtime.Running && c != nil && c.State == runtime.Running && !c.StartedAt.Before(pod.StartedAt) &&
		time.Since(c.StartedAt) >= programs[c.Image].ReadyAfter
}

// converge ends the troubles with a good commit, waits, and checks that the engine holds just that; breaks one thing of
// each kind behind the daemon's back, waits, and checks again; and checks that then nothing moves any more.
func (s *simulation) converge() {
	s.engine.DropEvents(false)
	final := &manifests.Set{Since: time.Now()}
	for _, name := range []string{"api", "web"} {
		add(final, "Deployment", name, s.randomDeployment(name, []string{"good:1", "good:2", "good:3"}))
		add(final, "Service", name, service(name))
	}
	s.deploy(final)
	time.Sleep(time.Hour)
	s.checkFinal(final)
	s.onSandbox(s.engine.RestartSandbox)
	s.onSandbox(s.engine.KillSandbox)
	s.onContainer(s.engine.RemoveBehindBack)
	time.Sleep(time.Hour)
	s.checkFinal(final)
	before := len(s.changingCalls())
	time.Sleep(30 * time.Minute)
	if after := s.changingCalls(); len(after) != before {
		s.Fatalf("no fixed point: %v", after[before:])
	}
}

func (s *simulation) checkFinal(set *manifests.Set) {
	state := s.state()
	pods := 0
	for _, d := range manifests.All[*appsv1.Deployment](set) {
		pods += int(*d.Spec.Replicas)
		hash := manifests.TemplateHash(&d.Spec.Template)
		n := 0
		for i := range state.Pods {
			pod := &state.Pods[i]
			if pod.Manifest.Labels["app"] == d.Name && pod.Manifest.Labels["pod-template-hash"] == hash && serves(pod) {
				n++
			}
		}
		if n != int(*d.Spec.Replicas) {
			s.Fatalf("Deployment %s: %d pods of the last commit serve, want %d; status: %+v", d.Name, n, *d.Spec.Replicas, s.reconciler.Status().Result.Objects)
		}
		s.checkEndpoints(state, d)
	}
	if len(state.Pods) != pods {
		s.Fatalf("%d pods on the engine, want %d", len(state.Pods), pods)
	}
}

func (s *simulation) checkEndpoints(state *runtime.State, d *appsv1.Deployment) {
	for _, slice := range state.Routes.Endpoints {
		if slice.Name == d.Name && len(slice.Endpoints) != int(*d.Spec.Replicas) {
			s.Fatalf("Service %s leads to %d pods, want %d", d.Name, len(slice.Endpoints), *d.Spec.Replicas)
		}
	}
}

func (s *simulation) changingCalls() []fake.Call {
	return slices.DeleteFunc(s.engine.Calls(), func(c fake.Call) bool {
		return slices.Contains([]string{"State", "Probe", "ImageStatus", "Watch"}, c.Verb)
	})
}
