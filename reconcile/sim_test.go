package reconcile

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	gort "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/runtime"
	"github.com/podyard/podyard/runtime/fake"
)

// TestSimulation runs random histories of commits, crashes, restarts of the daemon and faults of the engine against the
// fake, in fake time. After every change on the engine it checks what must never happen; at the end it checks that what
// runs is what the last commit says, and that nothing moves any more. A failure prints the seed that replays it
// (-rapid.seed); -sim.log prints all that the daemon does in it. make sim runs 10,000.
//
// Bugs planted once and caught here within 150 histories: the surge and the minimum off by one, maxUnavailable rounded up,
// minReadySeconds ignored, pods under way not counted, stops before routes, stranded containers and stopped sandboxes left
// alone, failed actions and engine errors not tried again, nothing pruned; of StatefulSets, the order ignored, a partition off by
// one or forgotten with its last pod, a broken update not replaced, volumes removed against the policy or with their pods; hooks
// that run again; of DaemonSets, two pods without a surge; of
// ReplicaSets, one pod too many; of Jobs, one pod too many and a pod of one that has ended that runs again; of autoscalers, the
// bounds ignored, what they decided forgotten; of Deployments, a Recreate that does not wait; one volume for all ordinals; of
// pods, a back-off that does not double, success restarted under OnFailure, an init container's failure taken for success, a
// host port given twice, Services that lead to pods that are not ready, sidecars stopped beside main, and a stop without a grace
// period; of Services that are published, a port opened before its former holder has closed it, one that nobody closes, and one
// that died and stays closed.
//
// Found by it in the making: a loop that ended when the engine was down at its start, creations of a superseded commit that went
// beyond the surge, a pod whose removal failed that counted as staying, one that passed for ready because its postStart hook was
// ended for its removal, volumes removed after their StatefulSet had said to keep them, a pod too many after a change of replicas,
// and one too few where that change met a rollout that was stuck.
func TestSimulation(t *testing.T) { checkHistories(t, 400, simulate) }

// checkHistories checks some histories, always the same; or as many as -rapid.checks says, from -rapid.seed on or any.
func checkHistories(t *testing.T, some int, simulate func(*rapid.T)) {
	// Histories are short and make much garbage.
	before := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		setFlag(t, "rapid.checks", some)
		setFlag(t, "rapid.seed", 1)
	}
	lanes := gort.GOMAXPROCS(0)
	all, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String())
	if err != nil {
		t.Fatal(err)
	}
	setFlag(t, "rapid.checks", (all+lanes-1)/lanes)
	for lane := range lanes {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				for range lane { // else all lanes would run the same histories of one seed
					rapid.Uint64().Draw(t, "lane")
				}
				simulate(t)
			})
		})
	}
}

func setFlag(t *testing.T, name string, n int) {
	value := flag.Lookup(name).Value
	before := value.String()
	if err := value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = value.Set(before) })
}

// simulate is one history.
func simulate(t *rapid.T) {
	steps := rapid.SliceOfN(rapid.SampledFrom(stepNames()), 2, 10).Draw(t, "steps")
	rapid.SyncTest(t, func(t *rapid.T) {
		s := newSimulation(t)
		defer s.stop()
		s.assign()
		s.commit()
		for _, step := range steps {
			s.log.Info("step", "name", step)
			stepsByName[step](s)
			s.pause()
			s.checkForeign()
		}
		s.log.Info("step", "name", "converge")
		s.converge()
	})
}

// roles are what may be in a commit. A history has a few of them: what they do to each other shows with two or three, and more
// histories show more than long ones; one in some sixty has more.
var roles = []string{"api", "db", "web", "store", "agent", "crew", "batch", "tide", "solo", "pods", "front", "door", "order"}

func (s *simulation) assign() {
	most := 3
	if rapid.IntRange(0, 39).Draw(s.T, "crowd") == 30 { // the ends of a range are drawn more often
		most = len(roles)
	}
	for _, role := range rapid.SliceOfNDistinct(rapid.SampledFrom(roles), 1, most, rapid.ID).Draw(s.T, "roles") {
		s.cast[role] = true
	}
}

// keeps draws whether a commit has what plays a role: as often as that, out of n times.
func (s *simulation) keeps(role string, often, n int) bool {
	return s.cast[role] && rapid.IntRange(1, n).Draw(s.T, "keep "+role) <= often
}

var stepsByName = map[string]func(*simulation){
	"commit":         (*simulation).commit,
	"commit again":   (*simulation).commit,
	"scale":          (*simulation).scale,
	"canary":         (*simulation).canary,
	"crash":          func(s *simulation) { s.onContainer(func(id string) { s.engine.KillContainer(id, 1) }) },
	"remove":         func(s *simulation) { s.onContainer(s.removeContainer) },
	"kill sandbox":   func(s *simulation) { s.onSandbox(s.engine.KillSandbox) },
	"crash sandbox":  func(s *simulation) { s.onSandbox(s.engine.RestartSandbox) },
	"lose sandbox":   func(s *simulation) { s.onSandbox(s.engine.RemoveBehindBack) },
	"restart engine": func(s *simulation) { s.chaos(); s.engine.RestartEngine() },
	"restart daemon": (*simulation).restartDaemon,
	"fault":          (*simulation).fault,
	"lost answer":    (*simulation).lostAnswer,
	"load":           (*simulation).tide,
	"hold port":      (*simulation).holdPort,
	"close ports":    (*simulation).closePublication,
	"deaf":           func(s *simulation) { s.hear(false) },
	"asleep":         (*simulation).asleep,
	"calm":           (*simulation).calm,
}

func stepNames() []string { return slices.Sorted(maps.Keys(stepsByName)) }

// simulation is one history.
type simulation struct {
	*rapid.T
	engine *fake.Engine
	notes  *memory
	cancel context.CancelFunc
	done   chan struct{}

	mu         sync.Mutex
	reconciler *Reconciler
	// commits, newest last. lastChaos is when something was last broken that the daemon may not know yet, lastChange when the
	// engine's state last changed.
	commits               []*manifests.Set
	lastChaos, lastChange time.Time
	// seen are sandboxes, begun the starts of containers and volumes what persists, each from when it was first seen.
	// removed are volumes that a StatefulSet is letting go. tampered are pods of which a container was removed, so that their past does not tell the truth.
	seen, tampered, volumes, removed map[string]bool
	begun                            map[start]bool
	jobs                             jobs
	// stopped are containers that were told to stop, hooked those whose preStop hook began, and in which daemon's life.
	stopped map[string]bool
	hooked  map[string]*Reconciler
	// stopBegan is when a pod's main container was told to stop, backoffs what a container waits after its end, pulls are
	// those that failed. deaf: no event reaches the daemon.
	stopBegan map[string]time.Time
	backoffs  map[string]time.Duration
	pulls     map[string]failedPull
	deaf      bool
	// standing is what workloads were made of when the last commit came, had how many pods there were of each owner and name.
	standing map[string]bool
	had      map[string]int
	// complete are Deployments and hooks of a sync that were complete once.
	complete map[string]bool
	// older are the syncs that found pods of an old template below the partition of the StatefulSet.
	older map[string]bool
	// cast are the roles of this history. nodePorts are those of the last commit.
	cast      map[string]bool
	nodePorts map[string]int32
	log       *slog.Logger
}

// start is one of a container.
type start struct {
	id string
	at time.Time
}

func newSimulation(t *rapid.T) *simulation {
	s := &simulation{T: t, log: simLogger(), notes: &memory{}, begun: map[start]bool{}, hooked: map[string]*Reconciler{}, nodePorts: map[string]int32{}, stopBegan: map[string]time.Time{}, backoffs: map[string]time.Duration{}, jobs: jobs{finished: map[string]bool{}, succeeded: map[string]map[string]string{}}}
	for _, m := range []*map[string]bool{&s.seen, &s.tampered, &s.volumes, &s.removed, &s.stopped, &s.complete, &s.older, &s.cast} {
		*m = map[string]bool{}
	}
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

var simLog = flag.Bool("sim.log", false, "print what the daemon does in a simulation")

func simLogger() *slog.Logger {
	if *simLog {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

func (s *simulation) startDaemon() {
	ctx, cancel := context.WithCancel(context.Background())
	r := New(&guard{Engine: s.engine, s: s}, Options{Workers: 4, Notes: s.notes, Log: s.log, HTTPPort: simHTTPPort, HTTPSPort: simHTTPSPort})
	s.mu.Lock()
	s.reconciler, s.pulls = r, map[string]failedPull{}
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

// asleep lets hours pass in one go for the daemon, and not for what runs. That is as near as this comes to a clock that jumps:
// in a bubble, time moves from timer to timer, and never back.
func (s *simulation) asleep() {
	s.stop()
	time.Sleep(time.Duration(rapid.IntRange(1, 48).Draw(s.T, "hours")) * time.Hour)
	s.engine.Reconnect()
	s.chaos()
	s.startDaemon()
}

// calm lets back-offs reach their end, or be forgotten.
func (s *simulation) calm() {
	if rapid.IntRange(0, 2).Draw(s.T, "calm") == 0 {
		time.Sleep(25 * time.Minute)
	}
}

func (s *simulation) hear(events bool) {
	s.engine.DropEvents(!events)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = !events
}

func (s *simulation) chaos() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastChaos = time.Now()
}

// pause lets the daemon work, and looks at what it came to.
func (s *simulation) pause() {
	defer s.noteOlder()
	time.Sleep(time.Duration(rapid.IntRange(0, 30_000).Draw(s.T, "pause")) * time.Millisecond)
}

// commit makes up a new desired state: up to three Deployments with a Service each, one of each other kind that keeps pods,
// one Deployment that is autoscaled, bare pods, and what they refer to.
func (s *simulation) commit() {
	set := s.newSet()
	for _, name := range []string{"api", "db", "web"} {
		if s.keeps(name, 5, 6) {
			d := s.randomDeployment(name, mains, anyDress)
			d.Spec.Paused = rapid.IntRange(0, 7).Draw(s.T, "paused") == 0
			add(set, "Deployment", name, d)
			add(set, "Service", name, service(name))
		}
	}
	s.addWorkloads(set)
	s.addJob(set)
	if s.keeps("tide", 3, 4) {
		s.addTide(set)
	}
	if s.keeps("solo", 1, 2) { // a ReplicaSet selects it
		solo := s.barePod("solo", rapid.SampledFrom([]string{"good:1", "good:2", "crash"}).Draw(s.T, "image"), anyDress)
		solo.Labels = map[string]string{"team": "crew"}
		s.publish(&solo.Spec)
		add(set, "Pod", "solo", solo)
	}
	if s.keeps("pods", 1, 2) {
		add(set, "Pod", "one", s.barePod("one", rapid.SampledFrom([]string{"good:1", "good:2", "crash", "job"}).Draw(s.T, "image"), anyDress))
	}
	s.addFronts(set, frontPort, false)
	s.addDoors(set)
	s.order(set, anyHooks)
	s.deploy(set)
}

// scale changes the replicas of all Deployments and nothing else.
func (s *simulation) scale() {
	last := s.commits[len(s.commits)-1]
	set := &manifests.Set{Since: time.Now()}
	for _, o := range last.Objects {
		if d, ok := o.Value.(*appsv1.Deployment); ok {
			d = d.DeepCopy()
			d.Spec.Replicas = pointer(int32(rapid.IntRange(0, 9).Draw(s.T, "replicas")))
			o = &manifests.Object{Ref: o.Ref, Value: d}
		}
		set.Objects = append(set.Objects, o)
	}
	s.deploy(set)
}

// canary changes the image of the StatefulSet from a partition on, and nothing else; and then loses one of its pods.
func (s *simulation) canary() {
	last := s.commits[len(s.commits)-1]
	set := &manifests.Set{Since: time.Now()}
	for _, o := range last.Objects {
		if v, ok := o.Value.(*appsv1.StatefulSet); ok {
			v = v.DeepCopy()
			v.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"good:1", "good:2", "good:3"}).Draw(s.T, "image")
			v.Spec.UpdateStrategy.RollingUpdate.Partition = pointer(int32(rapid.IntRange(1, 2).Draw(s.T, "partition")))
			o = &manifests.Object{Ref: o.Ref, Value: v}
		}
		set.Objects = append(set.Objects, o)
	}
	s.deploy(set)
	time.Sleep(20 * time.Second)
	s.noteOlder()
	s.onOne(s.sandboxesOf("StatefulSet/store"), s.engine.RemoveBehindBack)
}

// newSet holds what pods refer to: a ConfigMap that changes, and a claim.
func (s *simulation) newSet() *manifests.Set {
	set := &manifests.Set{Since: time.Now()}
	add(set, "ConfigMap", "conf", &corev1.ConfigMap{Data: map[string]string{
		"value": fmt.Sprint(rapid.IntRange(1, 3).Draw(s.T, "value"))}})
	add(set, "PersistentVolumeClaim", "data", &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data"},
		Spec:       corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}},
	})
	return set
}

func (s *simulation) deploy(set *manifests.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteJobCommit(set)
	s.noteStanding()
	s.commits = append(s.commits, set)
	set.Sync = strconv.Itoa(len(s.commits))
	s.reconciler.SetDesired(set)
}

func (s *simulation) randomDeployment(name string, images []string, dress dress) *appsv1.Deployment {
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
	if name != "web" { // ReplicaSets select these pods, and must not have them
		d.Spec.Template.Labels["team"] = map[string]string{"api": "hands", "db": "crew"}[name]
	}
	d.Spec.Template.Spec = s.podSpec(rapid.SampledFrom(images).Draw(s.T, "image"), dress)
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

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{
			{Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString("http")}}}}
}

func add(set *manifests.Set, kind, name string, value any) {
	object := &manifests.Object{Ref: manifests.Ref{Kind: kind, Namespace: "default", Name: name}, Value: value}
	if j, ok := value.(*batchv1.Job); ok {
		object.Hash = manifests.JobHash(&j.Spec)
	}
	set.Objects = append(set.Objects, object)
}

func pointer[T any](v T) *T { return &v }

func (s *simulation) onContainer(f func(id string)) {
	var ids []string
	for _, pod := range s.engine.Truth().Pods {
		for _, c := range pod.Containers {
			ids = append(ids, c.ID)
		}
	}
	s.onOne(ids, f)
}

func (s *simulation) onSandbox(f func(id string)) {
	var ids []string
	for _, pod := range s.engine.Truth().Pods {
		ids = append(ids, pod.ID)
	}
	s.onOne(ids, f)
}

func (s *simulation) sandboxesOf(owner string) (ids []string) {
	for _, pod := range s.engine.Truth().Pods {
		if pod.Manifest.Annotations["podyard.dev/owner"] == owner && pod.Phase != runtime.Missing {
			ids = append(ids, pod.ID)
		}
	}
	return ids
}

func (s *simulation) onOne(ids []string, f func(id string)) {
	if len(ids) == 0 {
		return
	}
	s.chaos()
	f(ids[rapid.IntRange(0, len(ids)-1).Draw(s.T, "victim")])
}

// verbs that may fail; of the first ones, the answer may be lost as well.
var verbs = []string{"Publish", "Unpublish", "CreateSandbox", "StartSandbox", "StopSandbox", "RemoveSandbox", "CreateContainer", "StartContainer", "StopContainer",
	"RemoveContainer", "WriteVolume", "RemoveVolume", "PullImage", "Route", "State", "ImageStatus", "Exec", "VolumeUsage", "ContainerStats"}

func (s *simulation) fault() {
	s.chaos()
	s.engine.Inject(fake.Fault{Verb: rapid.SampledFrom(verbs).Draw(s.T, "verb"), Times: rapid.IntRange(1, 3).Draw(s.T, "times")})
}

func (s *simulation) lostAnswer() {
	s.chaos()
	s.engine.Inject(fake.Fault{Verb: rapid.SampledFrom(verbs[:12]).Draw(s.T, "verb"), Times: 1, After: true})
}

func (s *simulation) checkForeign() {
	if got, want := s.engine.Foreign(), []string{"container somebody-elses", "network bridge", "volume photos"}; !slices.Equal(got, want) {
		s.Fatalf("foreign things on the engine: %v, want %v", got, want)
	}
}
