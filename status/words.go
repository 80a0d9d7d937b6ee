package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Overall says in one word and one sentence whether what runs is what git says, and if not, what is in the way.
func Overall(s Snapshot) (Health, string) {
	if s.Engine.Error != "" {
		return Stalled, "The container engine does not answer: " + s.Engine.Error
	}
	if len(s.Sources) == 0 {
		return Reconciling, "There is no source to deploy from yet"
	}
	sources, objects := sourcesHealth(s.Sources), objectsHealth(s.Objects)
	headline := sourcesSentence(s.Sources)
	if severity(objects) > severity(sources) {
		headline += ", but " + countSentence(s.Objects, objects)
	}
	return worse(sources, objects), headline
}

// Detail is the second sentence: how many objects there are in which state.
func Detail(s Snapshot) string {
	counts := countHealth(s.Objects)
	if len(counts) == 0 {
		return "Nothing is deployed"
	}
	total, parts := 0, []string(nil)
	for _, c := range counts {
		total += c.N
		parts = append(parts, fmt.Sprintf("%d %s", c.N, lower(c.Health)))
	}
	return fmt.Sprintf("%s: %s", plural(total, "object"), strings.Join(parts, ", "))
}

// Count is how many objects are in one state.
type Count struct {
	Health Health
	N      int
}

// countHealth counts what the commits hold themselves, worst first; what those own speaks through its owner.
func countHealth(objects []Object) []Count {
	var counts []Count
	for _, o := range objects {
		if o.Owner != nil {
			continue
		}
		i := slices.IndexFunc(counts, func(c Count) bool { return c.Health == o.Health })
		if i < 0 {
			i, counts = len(counts), append(counts, Count{Health: o.Health})
		}
		counts[i].N++
	}
	slices.SortStableFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(severity(b.Health), severity(a.Health)), cmp.Compare(a.Health, b.Health))
	})
	return counts
}

func sourcesHealth(sources []Source) Health {
	health := Ready
	for _, s := range sources {
		health = worse(health, s.Health)
	}
	return health
}

func objectsHealth(objects []Object) Health {
	health := Ready
	for _, o := range objects {
		if o.Owner == nil {
			health = worse(health, o.Health)
		}
	}
	return health
}

// sourcesSentence lets one source speak for itself, and counts several and quotes the one that needs attention most.
func sourcesSentence(sources []Source) string {
	if len(sources) == 1 {
		return capital(cmp.Or(sources[0].State, "not fetched yet"))
	}
	ready, worst := 0, sources[0]
	for _, s := range sources {
		if s.Health == Ready {
			ready++
		}
		if severity(s.Health) > severity(worst.Health) {
			worst = s
		}
	}
	if ready == len(sources) {
		return fmt.Sprintf("All %d sources are ready", ready)
	}
	return fmt.Sprintf("%d of %d sources are ready; %s: %s", ready, len(sources), worst.Name, worst.State)
}

func countSentence(objects []Object, health Health) string {
	n, total := 0, 0
	for _, c := range countHealth(objects) {
		total += c.N
		if c.Health == health {
			n = c.N
		}
	}
	verb := "are"
	if n == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%d of %s %s %s", n, plural(total, "object"), verb, lower(health))
}

// severity orders the states by how much they ask for attention.
func severity(h Health) int {
	switch h {
	case Stalled:
		return 3
	case Reconciling, Terminating:
		return 2
	case Unsupported:
		return 0
	case Ready:
		return 0
	default:
		return 1
	}
}

func worse(a, b Health) Health {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

// tone names the colour and shape of a state: one of ready, reconciling, stalled, neutral.
func tone(state any) string {
	switch state {
	case Ready, Succeeded:
		return "ready"
	case Reconciling, Terminating, Applying:
		return "reconciling"
	case Stalled, Failed, RolledBack, Refused, Unapproved:
		return "stalled"
	default:
		return "neutral"
	}
}

// podHealth is the pod's own, or that of the object of its name, or what its containers tell.
func podHealth(p Pod, objects map[Ref]Object) Health {
	if p.Health != "" {
		return p.Health
	}
	if o, ok := objects[p.Ref()]; ok && o.Health != "" {
		return o.Health
	}
	if p.State == "Completed" || p.State == "Succeeded" {
		return Ready
	}
	waiting := slices.ContainsFunc(p.Containers, func(c Container) bool { return !c.Init && !c.Ephemeral && !c.Ready })
	if waiting || len(p.Containers) == 0 {
		return Reconciling
	}
	return Ready
}

// containerTone is the tone of a container: it is in trouble if it waits or ended for any reason but the usual ones. One
// for debugging may end as it likes.
func containerTone(c Container) string {
	switch {
	case c.Ready, c.State == "Terminated" && c.Reason == "Completed":
		return "ready"
	case c.State == "Running", c.Reason == "", c.Reason == "ContainerCreating", c.Reason == "PodInitializing":
		return "reconciling"
	case c.Ephemeral:
		return "neutral"
	}
	return "stalled"
}

// containerKind names a container by its part in the pod.
func containerKind(c Container) string {
	switch {
	case c.Ephemeral:
		return "Debug container"
	case c.Sidecar:
		return "Sidecar"
	case c.Init:
		return "Init container"
	}
	return "Container"
}

// begun tells that a container has run at least once, so that it has a log.
func begun(c Container) bool { return c.State != "Waiting" || c.ExitCode != nil }

// past tells that an init container has done its work, which is of no interest any more.
func past(c Container) bool { return c.Init && c.Reason == "Completed" }

// age is how long ago t was, as kubectl prints it: "45s", "3m12s", "5d". It is "-" for no time.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(max(0, now.Sub(t)))
}

// took is a duration that was measured: "840ms", "4.2s", "1m12s".
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return max(d.Round(time.Millisecond), time.Millisecond).String()
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return strings.Replace(d.Round(time.Second).String(), "m0s", "m", 1)
}

// absolute is a moment in full, in its own time zone.
func absolute(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// capital begins a sentence; a hash at its beginning stays as it is.
func capital(s string) string {
	if word, _, _ := strings.Cut(s, " "); strings.ContainsAny(word, "0123456789") {
		return s
	}
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// shorten keeps the beginning of a digest: "sha256:4f2a91c0d3b7", "name@sha256:4f2a91c0d3b7".
func shorten(digest string) string {
	head, hex, found := strings.Cut(digest, "sha256:")
	if !found || len(hex) <= 12 {
		return digest
	}
	return head + "sha256:" + hex[:12]
}

// lower is for a state in the middle of a sentence.
func lower(h Health) string { return strings.ToLower(string(h)) }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// words say what serves Services, and what of that a user would not expect.
func (g Gateway) words() string {
	if g.Error != "" {
		return "the gateway does not answer: " + g.Error
	}
	if g.Backend == "" {
		return ""
	}
	out := "Services by " + g.Backend
	if g.Masquerade {
		out += ", pods see the gateway's address instead of their clients'"
	}
	if g.Reason != "" {
		out += " (" + g.Reason + ")"
	}
	return out
}
