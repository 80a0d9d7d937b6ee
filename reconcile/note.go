package reconcile

import (
	"maps"
	"slices"
	"sync"

	"github.com/podyard/podyard/reconcile/plan"
)

// Notes keeps what plans must know and no pod tells, by name. Methods may be called from several goroutines.
type Notes interface {
	// Notes returns all of them; the caller owns the map.
	Notes() (map[string]string, error)
	// PutNote writes one for good before it returns. An empty text deletes it.
	PutNote(name, text string) error
}

func (r *Reconciler) writeNote(a plan.WriteNote) error {
	return r.options.Notes.PutNote(a.Name, a.Text)
}

// notedJob is what a note tells of the images of a Job.
type notedJob struct {
	text   string
	images []string
}

// notedImages are those of Jobs that are noted whole, as those of a CronJob, and have not ended. A note is read only when it
// has changed.
func (r *Reconciler) notedImages(notes map[string]string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.noted, func(name string, _ notedJob) bool { return notes[name] == "" })
	var out []string
	for name, text := range notes {
		job, known := r.noted[name]
		if !known || job.text != text {
			job = notedJob{text, nil}
			if spec := plan.RunningJob(name, text); spec != nil {
				for _, c := range containersOf(spec) {
					job.images = append(job.images, c.Image)
				}
			}
			r.noted[name] = job
		}
		out = append(out, job.images...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// memory keeps notes for as long as it lives.
type memory struct {
	mu    sync.Mutex
	notes map[string]string
}

func (m *memory) Notes() (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.notes), nil
}

func (m *memory) PutNote(name, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text == "" {
		delete(m.notes, name)
		return nil
	}
	if m.notes == nil {
		m.notes = map[string]string{}
	}
	m.notes[name] = text
	return nil
}
