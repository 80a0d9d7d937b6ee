package reconcile

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// order gives the objects of a commit waves, and the commit hooks; or neither. It tells which.
func (s *simulation) order(set *manifests.Set, hooks []string) bool {
	if !s.keeps("order", 2, 3) {
		return false
	}
	for _, o := range set.Objects {
		wave := fmt.Sprint(rapid.IntRange(-1, 1).Draw(s.T, "wave"))
		switch v := o.Value.(type) {
		case *corev1.ConfigMap, *corev1.PersistentVolumeClaim:
		case metav1.Object:
			v.SetAnnotations(map[string]string{"argocd.argoproj.io/sync-wave": wave})
		}
	}
	for _, h := range [][2]string{{"before", "PreSync"}, {"within", "Sync"}, {"after", "PostSync"}, {"rescue", "SyncFail"}} {
		set.Objects = append(set.Objects, s.hookPod(h[0], h[1], hooks))
	}
	return true
}

func (s *simulation) hookPod(name, phase string, images []string) *manifests.Object {
	deletes := rapid.SampledFrom([]string{"", "HookSucceeded", "HookFailed"}).Draw(s.T, "hook-delete-policy")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Annotations: map[string]string{
		"argocd.argoproj.io/hook": phase, "argocd.argoproj.io/hook-delete-policy": deletes}}}
	pod.Spec.RestartPolicy, pod.Spec.TerminationGracePeriodSeconds = corev1.RestartPolicyNever, pointer(int64(10))
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: rapid.SampledFrom(images).Draw(s.T, "hook"), ImagePullPolicy: corev1.PullIfNotPresent}}
	return &manifests.Object{Ref: manifests.Ref{Kind: "Pod", Namespace: "default", Name: name}, Value: pod}
}

// Images of hooks.
var (
	anyHooks  = []string{"job", "init:quick", "init:quick", "init:bad"}
	goodHooks = []string{"job", "init:quick"}
)

// checkHookRun: a hook whose end is noted does not begin again in this sync. The caller holds mu.
func (s *simulation) checkHookRun(pod *runtime.Pod) {
	run := pod.Manifest.Annotations["podyard.dev/hook"]
	if run == "" {
		return
	}
	sync, phase, _ := strings.Cut(run, " ")
	if s.hookEnded(sync, phase, pod.Manifest.Name) {
		s.Errorf("%s hook %s of sync %s begins, and has ended already", phase, pod.Manifest.Name, sync)
	}
}

func (s *simulation) hookEnded(sync, phase, name string) bool {
	var note struct {
		Sync  string
		Hooks []struct{ Phase, Object string }
	}
	notes, err := s.notes.Notes()
	if err != nil || notes["Sync"] == "" {
		return false
	}
	if err := json.Unmarshal([]byte(notes["Sync"]), &note); err != nil {
		s.Errorf("read the note on the sync: %v", err)
	}
	for _, h := range note.Hooks {
		if note.Sync == sync && h.Phase == phase && h.Object == "Pod default/"+name {
			return true
		}
	}
	return false
}

// witness remembers what of the last commit was complete once: Deployments all of whose pods served at the same time, and hooks
// that succeeded. The caller holds mu.
func (s *simulation) witness(state *runtime.State) {
	if len(s.commits) == 0 {
		return
	}
	set := s.commits[len(s.commits)-1]
	for _, o := range set.Objects {
		d, ok := o.Value.(*appsv1.Deployment)
		if !ok {
			continue
		}
		n, hash := 0, o.Once(func() string { return manifests.TemplateHash(&d.Spec.Template) })
		for i := range state.Pods {
			pod := &state.Pods[i]
			n += one(pod.Manifest.Labels["app"] == d.Name && pod.Manifest.Labels["pod-template-hash"] == hash && serves(pod))
		}
		if least, _ := replicasOf(set, d); n >= least {
			s.complete[set.Sync+" Deployment "+d.Name] = true
		}
	}
	for i := range state.Pods {
		pod := &state.Pods[i]
		main := plan.Latest(pod, "main")
		if run := pod.Manifest.Annotations["podyard.dev/hook"]; run != "" && main != nil && main.State == runtime.Exited && main.ExitCode == 0 {
			s.complete[run+" "+pod.Manifest.Name] = true
		}
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// noteStanding remembers what workloads are made of when a commit comes, and how many pods they have: until their turn they may
// get more such pods. The caller holds mu.
func (s *simulation) noteStanding() {
	before := map[string]bool{}
	s.had = map[string]int{}
	if len(s.commits) > 0 {
		last := s.commits[len(s.commits)-1]
		if last.Find("Pod", "default", "before") != nil { // some may have waited
			before = s.standing
		}
		for _, o := range last.Objects {
			if w, ok := manifests.WorkloadOf(o.Value); ok && o.Kind != "Job" {
				before[o.Kind+"/"+o.Name+" "+w.Template.Spec.Containers[0].Image] = true
			}
		}
	}
	for _, pod := range s.engine.Truth().Pods {
		if len(pod.Manifest.Spec.Containers) > 0 {
			before[madeAs(&pod)] = true
			s.had[pod.Manifest.Annotations["podyard.dev/owner"]]++
			s.had[pod.Manifest.Name]++
		}
	}
	s.standing = before
}

// standingCommits are those by which workloads have as many pods as they have: the last ones, and what was before them as long as
// they wait for their turn. The caller holds mu.
func (s *simulation) standingCommits() []*manifests.Set {
	i := len(s.commits) - len(s.lastCommits())
	for ; i > 0 && s.commits[i].Find("Pod", "default", "before") != nil && !s.hookEnded(s.commits[i].Sync, "PostSync", "after"); i-- {
	}
	return s.commits[i:]
}

func madeAs(pod *runtime.Pod) string {
	return pod.Manifest.Annotations["podyard.dev/owner"] + " " + pod.Manifest.Spec.Containers[0].Image
}

// checkWave: a pod of a later wave is made only when the Deployments of the waves before it were complete once, and after the
// PreSync hook has succeeded; or in place of one that was lost, as it was before the commit. Just after a commit, one of the
// commit before may land still. The caller holds mu.
func (s *simulation) checkWave(pod *runtime.Pod) {
	set := s.commits[len(s.commits)-1]
	kind, name, _ := strings.Cut(pod.Manifest.Annotations["podyard.dev/owner"], "/")
	object := set.Find(kind, "default", name)
	if object == nil || time.Since(set.Since) < 2*time.Second || time.Since(s.lastChaos) < 10*time.Second {
		return
	}
	if _, isWorkload := manifests.WorkloadOf(object.Value); isWorkload && kind != "Job" && s.standing[madeAs(pod)] {
		return
	}
	hook, isHook := manifests.HookOf(object)
	if isHook && hook.Phases[0] != manifests.PhasePostSync {
		return
	}
	if set.Find("Pod", "default", "before") != nil && !s.complete[set.Sync+" PreSync before"] {
		s.Errorf("pod %s is made before the PreSync hook has succeeded", pod.Manifest.Name)
	}
	for _, o := range set.Objects {
		scaled := o.Name == "tide" // by an autoscaler, so the commit does not tell how many pods are all
		if o.Kind == "Deployment" && !scaled && (isHook || manifests.WaveOf(o) < manifests.WaveOf(object)) && !s.complete[set.Sync+" Deployment "+o.Name] {
			s.Errorf("pod %s is made, and %s, of a wave before it, was never complete", pod.Manifest.Name, o.Ref)
		}
	}
}
