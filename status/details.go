package status

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"time"
)

// Limits of the log that a pod's page shows of each container.
const (
	tailLines   = 200
	tailBytes   = 64 << 10
	tailTimeout = 2 * time.Second
)

// revisionPage is what the page of one revision shows.
type revisionPage struct {
	layout
	Revision RevisionDetail
	Images   []detail
	Diffs    []diffView
	// DiffError says why there is no comparison.
	DiffError string
	YAMLLines int
	Previous  string
}

// diffView is one object's difference, line by line.
type diffView struct {
	Change
	Added, Removed int
	Lines          []diffLine
}

// diffLine is a line with its mark: "add", "remove", "hunk" or "" for context.
type diffLine struct{ Mark, Text string }

func newRevisionPage(snapshot Snapshot, revision RevisionDetail, diffs []ObjectDiff, diffErr error) revisionPage {
	page := revisionPage{
		layout:    newLayout(snapshot, revision.Name()),
		Revision:  revision,
		YAMLLines: strings.Count(revision.YAML, "\n"),
	}
	for _, reference := range sortedKeys(revision.Images) {
		page.Images = append(page.Images, detail{reference, revision.Images[reference]})
	}
	for _, d := range diffs {
		page.Diffs = append(page.Diffs, newDiffView(d))
	}
	if diffErr != nil {
		page.DiffError = clean(diffErr.Error())
	}
	if revision.Number > 1 {
		page.Previous = Revision{Number: revision.Number - 1}.Name()
	}
	return page
}

func newDiffView(d ObjectDiff) diffView {
	view := diffView{Change: d.Change}
	for line := range strings.Lines(d.Diff) {
		text := strings.TrimSuffix(line, "\n")
		mark := diffMark(text)
		if mark == "file" {
			continue // the heading says which object it is
		}
		view.Lines = append(view.Lines, diffLine{mark, text})
		switch mark {
		case "add":
			view.Added++
		case "remove":
			view.Removed++
		}
	}
	return view
}

func diffMark(line string) string {
	switch {
	case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "--- "):
		return "file"
	case strings.HasPrefix(line, "@@"):
		return "hunk"
	case strings.HasPrefix(line, "+"):
		return "add"
	case strings.HasPrefix(line, "-"):
		return "remove"
	}
	return ""
}

// podPage is what the page of one pod shows.
type podPage struct {
	layout
	Pod        Pod
	Containers []containerView
	Events     []Event
}

// containerView is a container with the end of its log.
type containerView struct {
	Container
	Begun bool
	Log   string
	// LogError says why there is no log; LogPath is where all of it is.
	LogError string
	LogPath  string
}

func newPodPage(ctx context.Context, live Live, snapshot Snapshot, pod Pod) podPage {
	page := podPage{layout: newLayout(snapshot, pod.Namespace+"/"+pod.Name), Pod: pod}
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	for _, c := range pod.Containers {
		view := containerView{Container: c, Begun: begun(c), LogPath: logPath(pod, c.Name)}
		if view.Begun {
			view.Log, view.LogError = lastLines(ctx, live, pod, c.Name)
		}
		page.Containers = append(page.Containers, view)
	}
	for _, e := range snapshot.Events {
		if e.Object == pod.Ref() {
			page.Events = append(page.Events, e)
		}
	}
	return page
}

func logPath(p Pod, container string) string {
	return apiPods + "/" + url.PathEscape(p.Namespace) + "/" + url.PathEscape(p.Name) +
		"/log?container=" + url.QueryEscape(container)
}

// lastLines is the end of a container's log, or why there is none, fit to be shown.
func lastLines(ctx context.Context, live Live, p Pod, container string) (log, problem string) {
	text, err := tail(ctx, live, p, container)
	if err != nil {
		problem = clean(err.Error())
	}
	return cleanLog(text), problem
}

// tail reads the last lines of a container's log.
func tail(ctx context.Context, live Live, p Pod, container string) (string, error) {
	var end tailBuffer
	err := live.Logs(ctx, LogRequest{Namespace: p.Namespace, Pod: p.Name, Container: container, Tail: tailLines}, &end)
	return end.String(), err
}

// tailBuffer keeps the last tailBytes of what is written, from the beginning of a line.
type tailBuffer struct {
	kept bytes.Buffer
	cut  bool
}

// Write implements io.Writer.
func (b *tailBuffer) Write(p []byte) (int, error) {
	b.kept.Write(p)
	if excess := b.kept.Len() - tailBytes; excess > 0 {
		b.kept.Next(excess)
		b.cut = true
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	text := b.kept.String()
	if !b.cut {
		return text
	}
	if _, rest, found := strings.Cut(text, "\n"); found {
		return rest
	}
	return text
}
