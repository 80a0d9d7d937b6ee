package reconcile

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podyard/podyard/manifests"
	"github.com/podyard/podyard/reconcile/plan"
	"github.com/podyard/podyard/runtime"
)

// The containers that autoscalers look at are asked for their statistics, many at once: Docker 20.10 answers at the next tick of
// its collector, within a second or two, for all that wait. CPU is the mean between two samples; that of a container that is new to a
// sample, and old enough, is its mean since it started, as metrics-server has it.
const (
	samplesAtOnce  = 200
	sampleTimeout  = 10 * time.Second
	shortestWindow = 10 * time.Second
)

// sampler keeps the last sample.
type sampler struct {
	// next is when the next sample is due; zero while nothing is autoscaled. running: one is under way.
	next    time.Time
	running bool
	// stats are the last ones by container, at the time of this machine when they were asked for. sampled is when metrics,
	// by sandbox, were worked out from them and those before.
	stats   map[string]runtime.Stats
	asked   time.Time
	sampled time.Time
	metrics map[string]*runtime.PodMetrics
}

// sample begins, in the background, to read statistics if it is time. It returns when the next time is; zero if nothing of the
// commit is autoscaled.
func (r *Reconciler) sample(ctx context.Context, desired *manifests.Set, state *runtime.State) time.Time {
	pods, some := plan.Metered(desired, state)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.sampler
	if !some {
		if !s.running {
			*s = sampler{}
		}
		return time.Time{}
	}
	now := time.Now()
	if !s.running && !now.Before(s.next) {
		s.next, s.running = now.Add(plan.SamplePeriod), true
		r.running.Go(func() { r.takeSample(ctx, pods) })
	}
	return s.next
}

// takeSample reads the statistics of all pods, works out their metrics, and asks for a plan. Before the second sample of a
// daemon there are no metrics: it judges nothing by the first.
func (r *Reconciler) takeSample(ctx context.Context, pods []*runtime.Pod) {
	asked := time.Now()
	stats := r.readStats(ctx, pods)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.sampler
	metrics := map[string]*runtime.PodMetrics{}
	for _, pod := range pods {
		if m := metricsOf(pod, stats, s.stats, s.asked); m != nil {
			m.At = asked
			metrics[pod.ID] = m
		}
	}
	if s.stats != nil {
		s.sampled, s.metrics = asked, metrics
	}
	s.stats, s.asked, s.running = stats, asked, false
	r.lookAgain()
}

// readStats asks for those of every container that serves. What cannot be had is left out.
func (r *Reconciler) readStats(ctx context.Context, pods []*runtime.Pod) map[string]runtime.Stats {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	type answer struct {
		id    string
		stats runtime.Stats
	}
	answers := make(chan answer)
	var group errgroup.Group
	group.SetLimit(samplesAtOnce)
	go func() {
		for _, pod := range pods {
			for _, c := range plan.Serving(pod) {
				group.Go(func() error {
					stats, err := r.runtime.ContainerStats(ctx, c.ID)
					if err != nil {
						r.log.Debug("no statistics", "pod", pod.Manifest.Namespace+"/"+pod.Manifest.Name, "container", c.Name, "err", err)
						return nil
					}
					answers <- answer{c.ID, stats}
					return nil
				})
			}
		}
		_ = group.Wait()
		close(answers)
	}()
	out := map[string]runtime.Stats{}
	for a := range answers {
		out[a.id] = a.stats
	}
	return out
}

// metricsOf works out those of a pod; nil unless they are known of all containers that serve. asked is when the statistics
// before were asked for.
func metricsOf(pod *runtime.Pod, now, before map[string]runtime.Stats, asked time.Time) *runtime.PodMetrics {
	out := &runtime.PodMetrics{Containers: map[string]runtime.ContainerMetrics{}}
	for _, c := range plan.Serving(pod) {
		last, known := now[c.ID]
		first, old := before[c.ID]
		if !old && !asked.IsZero() && c.StartedAt.After(asked.Add(-shortestWindow)) {
			first = runtime.Stats{At: c.StartedAt}
		}
		window := last.At.Sub(first.At)
		if !known || first.At.IsZero() || window < shortestWindow {
			return nil
		}
		// Rounded up, as upstream rounds a quantity to thousandths.
		cpu := (int64(last.CPU-first.CPU)*1000 + int64(window) - 1) / int64(window)
		out.Containers[c.Name] = runtime.ContainerMetrics{CPU: max(cpu, 0), Memory: last.Memory}
		if out.Window == 0 || window < out.Window {
			out.Window = window
		}
	}
	if len(out.Containers) == 0 {
		return nil
	}
	return out
}
