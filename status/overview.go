package status

import (
	"cmp"
	"slices"
)

// maxRows is how many objects, and how many pods, a page shows unless asked for all.
const maxRows = 250

// maxEvents is how many events the overview shows.
const maxEvents = 30

// overview is what the first page shows.
type overview struct {
	layout
	Health           Health
	Headline, Detail string
	// SaysMore is set when the sources' own states are not the headline already.
	SaysMore    bool
	Counts      []Count
	Snapshot    Snapshot
	Filter      filter
	Choices     choices
	Namespaces  []namespaceRows
	ObjectsLeft int
	Pods        []Pod
	PodsTotal   int
	PodsLeft    int
	Events      []Event
}

// namespaceRows are the objects of one namespace.
type namespaceRows struct {
	Name    string
	Objects []objectRow
}

// objectRow is an object as a row of the tree. Depth is 0 for what the commit holds, 1 for what that owns.
type objectRow struct {
	Object
	Depth   int
	Ready   string
	Details []detail
}

// detail is one entry of an object's summary.
type detail struct{ Name, Value string }

func newOverview(snapshot Snapshot, chosen filter) overview {
	view := overview{
		layout:   newLayout(snapshot, ""),
		Counts:   countHealth(snapshot.Objects),
		Snapshot: snapshot,
		Filter:   chosen,
	}
	view.Health, view.Headline = Overall(snapshot)
	view.Detail = Detail(snapshot)
	view.SaysMore = len(snapshot.Sources) > 1 || snapshot.Engine.Error != ""
	limit := maxRows
	if chosen.All {
		limit = len(snapshot.Objects) + len(snapshot.Pods)
	}
	pods := withHealth(snapshot.Pods, snapshot.Objects)
	view.Choices = choicesOf(snapshot.Objects, pods, chosen)
	view.Namespaces, view.ObjectsLeft = objectRows(snapshot.Objects, chosen, limit)
	pods = slices.DeleteFunc(pods, func(p Pod) bool { return !chosen.pod(p) })
	view.PodsTotal = len(pods)
	view.Pods, view.PodsLeft = keep(pods, limit, func(p Pod) bool { return severity(p.Health) > 0 })
	view.Events = snapshot.Events[:min(len(snapshot.Events), maxEvents)]
	return view
}

// withHealth copies pods and fills in the health that the engine's view lacks.
func withHealth(pods []Pod, objects []Object) []Pod {
	byRef := make(map[Ref]Object, len(objects))
	for _, o := range objects {
		byRef[o.Ref] = o
	}
	pods = slices.Clone(pods)
	for i := range pods {
		pods[i].Health = podHealth(pods[i], byRef)
		pods[i].Message = cmp.Or(pods[i].Message, byRef[pods[i].Ref()].Message)
	}
	return pods
}

// objectRows groups by namespace, those without one last, and leaves the order within a namespace as it is: that of
// applying, each object followed by what it owns. Pods have a table of their own.
func objectRows(objects []Object, chosen filter, limit int) ([]namespaceRows, int) {
	owners := make(map[Ref]*Ref, len(objects))
	for _, o := range objects {
		owners[o.Ref] = o.Owner
	}
	var rows []objectRow
	for _, o := range objects {
		if o.Kind != "Pod" && chosen.object(o) {
			rows = append(rows, newObjectRow(o, depth(o.Owner, owners)))
		}
	}
	rows, left := keep(rows, limit, func(r objectRow) bool { return severity(r.Health) > 0 })
	slices.SortStableFunc(rows, func(a, b objectRow) int {
		return compareNamespace(a.Namespace, b.Namespace)
	})
	var groups []namespaceRows
	for _, row := range rows {
		if len(groups) == 0 || groups[len(groups)-1].Name != row.Namespace {
			groups = append(groups, namespaceRows{Name: row.Namespace})
		}
		last := &groups[len(groups)-1]
		last.Objects = append(last.Objects, row)
	}
	return groups, left
}

func compareNamespace(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	return cmp.Compare(a, b)
}

// depth counts owners upwards; no tree of ours is deeper than CronJob, Job, Pod, and a cycle must not hang the page.
func depth(owner *Ref, owners map[Ref]*Ref) int {
	d := 0
	for ; owner != nil && d < 3; d++ {
		owner = owners[*owner]
	}
	return d
}

// readyNames are what the column Ready shows: a workload has 2/3 of its pods, a Job has completed 2/3, a claim is Bound,
// an autoscaler is at 45%/80%.
var readyNames = []string{"ready", "completions", "status", "targets"}

func newObjectRow(o Object, depth int) objectRow {
	row := objectRow{Object: o, Depth: depth}
	for _, name := range readyNames {
		row.Ready = cmp.Or(row.Ready, o.Summary[name])
	}
	for _, name := range sortedKeys(o.Summary) {
		if value := o.Summary[name]; value != "" && !slices.Contains(readyNames, name) {
			row.Details = append(row.Details, detail{name, value})
		}
	}
	return row
}
