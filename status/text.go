package status

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// WriteStatus prints what the overview shows, for a terminal: the same words, without colours. now is what ages count
// from.
func WriteStatus(w io.Writer, s Snapshot, now time.Time) error {
	s.complete()
	s = cleaned(s)
	_, headline := Overall(s)
	if _, err := fmt.Fprintf(w, "%s\n%s\n", oneLine(headline), Detail(s)); err != nil {
		return err
	}
	for _, write := range []func(io.Writer, Snapshot, time.Time) error{writeSources, writeObjects, writePods, writeFoot} {
		if err := write(w, s, now); err != nil {
			return err
		}
	}
	return nil
}

// writeFoot says what does all this, as the foot of the page.
func writeFoot(w io.Writer, s Snapshot, _ time.Time) error {
	foot := "Podyard " + s.Version
	if s.Engine.Name != "" {
		foot += strings.TrimSuffix(" · "+s.Engine.Name+" "+s.Engine.Version, " ")
	}
	if words := s.Gateway.words(); words != "" {
		foot += " · " + words
	}
	_, err := fmt.Fprintf(w, "\n%s\n", oneLine(foot))
	return err
}

// WriteHistory prints revisions, newest first, a line each; what went wrong stands below its line.
func WriteHistory(w io.Writer, revisions []Revision, now time.Time) error {
	if len(revisions) == 0 {
		_, err := fmt.Fprintln(w, "No commit was deployed yet")
		return err
	}
	t := newTable("REVISION", "OUTCOME", "COMMIT", "SUBJECT", "AUTHOR", "TRIGGER", "TOOK", "STARTED")
	for _, r := range cleaned(revisions) {
		name := r.Name()
		if r.Current {
			name += " *"
		}
		t.row(name, string(r.Outcome), r.Commit.Short(), abbreviate(r.Commit.Subject), r.Commit.Author, r.Trigger,
			took(r.Duration.Duration), age(r.Started, now))
		t.note(r.Message)
	}
	return t.print(w)
}

// WriteRevision prints one revision with what it changed, its images and its warnings.
func WriteRevision(w io.Writer, r RevisionDetail, now time.Time) error {
	r = cleaned(r)
	t := newTable()
	t.row("Revision:", r.Name())
	t.row("Outcome:", string(r.Outcome))
	t.optional("Message:", r.Message)
	t.row("Commit:", r.Commit.Hash)
	t.row("Subject:", r.Commit.Subject)
	t.row("Author:", r.Commit.Author)
	t.optional("Source:", r.Source)
	t.optional("Trigger:", r.Trigger)
	t.optional("Reason:", r.Reason)
	t.row("Started:", ageAndTime(r.Started, now))
	t.row("Took:", took(r.Duration.Duration))
	if err := t.print(w); err != nil {
		return err
	}
	return writeRevisionLists(w, r)
}

func writeRevisionLists(w io.Writer, r RevisionDetail) error {
	changes := newTable()
	for _, c := range r.Changes {
		changes.row("  "+c.Action, c.Ref.String())
	}
	images := newTable()
	for _, reference := range sortedKeys(r.Images) {
		images.row("  "+reference, r.Images[reference])
	}
	log := newTable()
	for line := range strings.Lines(r.Log) {
		log.row("  " + strings.TrimRight(line, "\n"))
	}
	warnings := newTable()
	for _, warning := range r.Warnings {
		warnings.row("  " + warning)
	}
	for _, list := range []list{{"Last log lines:", log}, {"Changes:", changes}, {"Images:", images}, {"Warnings:", warnings}} {
		if err := list.table.printBelow(w, list.title); err != nil {
			return err
		}
	}
	return nil
}

// WritePlan prints what would be done, each line with its reason.
func WritePlan(w io.Writer, p PlanResult) error {
	p = cleaned(p)
	if len(p.Changes) == 0 && len(p.Actions) == 0 {
		_, err := fmt.Fprintln(w, "Nothing to do")
		return err
	}
	changes, actions, warnings := newTable(), newTable(), newTable()
	for _, c := range p.Changes {
		changes.row("  "+c.Action, c.Ref.String())
	}
	for _, a := range p.Actions {
		actions.row("  "+a.Action, a.Reason)
	}
	for _, warning := range p.Warnings {
		warnings.row("  " + warning)
	}
	var out strings.Builder
	for _, list := range []list{{"Objects:", changes}, {"Actions:", actions}, {"Warnings:", warnings}} {
		list.table.printBelow(&out, list.title) // a strings.Builder takes everything
	}
	_, err := io.WriteString(w, strings.TrimPrefix(out.String(), "\n"))
	return err
}

// WriteDiff prints how objects differ, in unified format.
func WriteDiff(w io.Writer, diffs []ObjectDiff) error {
	for _, d := range cleaned(diffs) {
		if _, err := fmt.Fprintf(w, "%s %s\n%s", d.Action, oneLine(d.Ref.String()), ended(d.Diff)); err != nil {
			return err
		}
	}
	return nil
}

func writeSources(w io.Writer, s Snapshot, now time.Time) error {
	t := newTable("SOURCE", "BRANCH", "COMMIT", "STATE", "LAST FETCH", "NEXT POLL")
	for _, source := range s.Sources {
		t.row(source.Name, source.Branch, source.Commit.Short(), source.State, age(source.LastFetch, now), in(source, now))
		if source.Hold != nil && source.Hold.Failed == 0 {
			t.note(fmt.Sprintf("held at r%d: %s (podyard resume ends the hold)", source.Hold.Number, source.Hold.Reason))
		}
		if source.FetchError != "" {
			t.note("the last fetch failed: " + source.FetchError)
		}
	}
	return t.printBelow(w, "")
}

// in is how long until a source is polled.
func in(source Source, now time.Time) string {
	switch {
	case source.Suspended:
		return "suspended"
	case source.NextFetch.IsZero():
		return "-"
	}
	return duration.HumanDuration(max(0, source.NextFetch.Sub(now)))
}

func writeObjects(w io.Writer, s Snapshot, _ time.Time) error {
	t := newTable("NAMESPACE", "OBJECT", "HEALTH", "READY", "MESSAGE")
	groups, _ := objectRows(s.Objects, filter{}, len(s.Objects))
	for _, group := range groups {
		for _, o := range group.Objects {
			name := strings.Repeat("  ", o.Depth) + o.Kind + " " + o.Name
			message := o.Message
			if message == "" {
				message = factOf(o.Summary)
			}
			t.row(cmp.Or(o.Namespace, "-"), name, string(o.Health), cmp.Or(o.Ready, "-"), message)
		}
	}
	return t.printBelow(w, "")
}

// factOf is what one wants to know of an object that needs no message: where it is.
func factOf(summary map[string]string) string {
	switch volume, published, target := summary["volume"], summary["published"], summary["externalName"]; {
	case volume != "":
		return "volume " + volume
	case summary["hosts"] != "":
		return servedAt(summary)
	case published != "" && summary["externalIP"] != "":
		return fmt.Sprintf("published at %s (external address %s)", published, summary["externalIP"])
	case published != "":
		return "published at " + published
	case target != "":
		return "leads to " + target
	}
	return ""
}

// servedAt is which hosts an Ingress serves, and where.
func servedAt(summary map[string]string) string {
	out := "serves " + summary["hosts"]
	if summary["ports"] != "" {
		out += fmt.Sprintf(" at %s, ports %s", summary["address"], summary["ports"])
	}
	return out
}

func writePods(w io.Writer, s Snapshot, now time.Time) error {
	t := newTable("NAMESPACE", "POD", "READY", "STATE", "RESTARTS", "AGE", "IP")
	for _, p := range withHealth(s.Pods, s.Objects) {
		t.row(p.Namespace, p.Name, p.Ready, p.State, fmt.Sprint(p.Restarts), age(p.Created, now), cmp.Or(p.IP, "-"))
		if severity(p.Health) > 0 {
			t.note(p.Message)
		}
	}
	return t.printBelow(w, "")
}

func ageAndTime(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s (%s ago)", absolute(t.In(now.Location())), age(t, now))
}

// maxSubject is how much of a commit's subject fits in a table: what git itself advises, and some more.
const maxSubject = 60

func abbreviate(subject string) string {
	runes := []rune(oneLine(subject))
	if len(runes) <= maxSubject {
		return string(runes)
	}
	return string(runes[:maxSubject-1]) + "…"
}

// ended makes sure that a text ends its last line.
func ended(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

// table collects lines and aligns their cells when it is printed. Notes stand below a row and do not widen it.
type table struct {
	heading []string
	lines   []tableLine
}

// list is a table below a title.
type list struct {
	title string
	table *table
}

type tableLine struct {
	cells []string
	notes []string
}

func newTable(heading ...string) *table { return &table{heading: heading} }

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		indent := cell[:len(cell)-len(strings.TrimLeft(cell, " "))]
		cells[i] = indent + oneLine(cell)
	}
	t.lines = append(t.lines, tableLine{cells: cells})
}

// optional adds a row unless the value is empty.
func (t *table) optional(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

func (t *table) note(text string) {
	if text != "" {
		last := &t.lines[len(t.lines)-1]
		last.notes = append(last.notes, "    "+oneLine(text))
	}
}

// printBelow prints the table after an empty line and a title, or nothing if it has no rows.
func (t *table) printBelow(w io.Writer, title string) error {
	if len(t.lines) == 0 {
		return nil
	}
	if title != "" {
		title += "\n"
	}
	if _, err := io.WriteString(w, "\n"+title); err != nil {
		return err
	}
	return t.print(w)
}

func (t *table) print(w io.Writer) error {
	var aligned strings.Builder
	cells := tabwriter.NewWriter(&aligned, 0, 8, 3, ' ', 0)
	if len(t.heading) > 0 {
		fmt.Fprintln(cells, strings.Join(t.heading, "\t"))
	}
	for _, line := range t.lines {
		fmt.Fprintln(cells, strings.Join(line.cells, "\t"))
	}
	cells.Flush() // a strings.Builder takes everything
	rows := strings.Split(strings.TrimSuffix(aligned.String(), "\n"), "\n")
	for i, row := range rows {
		lines := []string{strings.TrimRight(row, " ")}
		if at := i - min(len(t.heading), 1); at >= 0 {
			lines = append(lines, t.lines[at].notes...)
		}
		if _, err := io.WriteString(w, strings.Join(lines, "\n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
