package status

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
)

//go:embed assets
var assets embed.FS

//go:embed templates
var templates embed.FS

// pages holds every template, parsed when the program starts.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"absolute":      absolute,
	"containerKind": containerKind,
	"containerTone": containerTone,
	"duration":      took,
	"lower":         lower,
	"past":          past,
	"plural":        plural,
	"shorten":       shorten,
	"tone":          tone,
}).ParseFS(templates, "templates/*.html"))

// layout is what the frame of every page shows.
type layout struct {
	Title    string
	Instance string
	Version  string
	Engine   Engine
	Gateway  string
	DataDir  string
}

func newLayout(s Snapshot, title string) layout {
	return layout{
		Title: title, Instance: s.Instance, Version: s.Version, Engine: s.Engine, Gateway: s.Gateway.words(), DataDir: s.DataDir,
	}
}

// problemPage is shown instead of a page that cannot be.
type problemPage struct {
	layout
	Heading, Message string
}

// revisionsPage is a page of the timeline. Older is the number below which the next page begins; 0 if there is none.
type revisionsPage struct {
	layout
	Revisions []Revision
	Older     uint64
}

// NewPage serves the web page and its JSON API, read-only. hosts are the host parts of the addresses at which it is
// served (--listen); loopback names are always served, other names never.
func NewPage(reader Reader, hosts ...string) http.Handler {
	mux := http.NewServeMux()
	routeAPI(mux, reader)
	site := site{reader}
	mux.HandleFunc("GET /{$}", site.overview)
	mux.HandleFunc("GET /revisions", site.revisions)
	mux.HandleFunc("GET /revisions/{rev}", site.revision)
	mux.HandleFunc("GET /pods/{namespace}/{name}", site.pod)
	mux.HandleFunc("GET /assets/{name}", serveAsset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		site.problem(w, r, fmt.Errorf("page %s: %w", r.URL.Path, ErrNotFound))
	})
	return guard(mux, hosts)
}

// site answers with pages.
type site struct{ reader Reader }

func (s site) overview(w http.ResponseWriter, r *http.Request) {
	snapshot, err := s.snapshot(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	s.render(w, r, http.StatusOK, "overview.html", newOverview(snapshot, cleaned(readFilter(r.URL.Query()))))
}

func (s site) revisions(w http.ResponseWriter, r *http.Request) {
	snapshot, err := s.snapshot(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	revisions, err := readRevisions(r, s.reader)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	page := revisionsPage{layout: newLayout(snapshot, "Revisions"), Revisions: cleaned(revisions)}
	if n := len(revisions); n > 0 && revisions[n-1].Number > 1 {
		page.Older = revisions[n-1].Number
	}
	s.render(w, r, http.StatusOK, "revisions.html", page)
}

func (s site) revision(w http.ResponseWriter, r *http.Request) {
	snapshot, err := s.snapshot(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	revision, err := s.reader.Revision(r.Context(), r.PathValue("rev"))
	if err != nil {
		s.problem(w, r, err)
		return
	}
	diffs, diffErr := s.reader.Diff(r.Context(), "", strconv.FormatUint(revision.Number, 10))
	s.render(w, r, http.StatusOK, "revision.html",
		newRevisionPage(snapshot, cleaned(revision), cleaned(diffs), diffErr))
}

func (s site) pod(w http.ResponseWriter, r *http.Request) {
	snapshot, err := s.snapshot(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	ref := Ref{Kind: "Pod", Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
	pods := withHealth(snapshot.Pods, snapshot.Objects)
	i := slices.IndexFunc(pods, func(p Pod) bool { return p.Ref() == ref })
	if i < 0 {
		s.problem(w, r, fmt.Errorf("%s: %w", ref, ErrNotFound))
		return
	}
	events, err := s.reader.Events(r.Context(), ref, maxObjectEvents)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	snapshot.Events = cleaned(events)
	s.render(w, r, http.StatusOK, "pod.html", newPodPage(r.Context(), s.reader, snapshot, pods[i]))
}

// snapshot is the Reader's, fit to be shown.
func (s site) snapshot(r *http.Request) (Snapshot, error) {
	snapshot, err := s.reader.Snapshot(r.Context())
	if err != nil {
		return Snapshot{}, err
	}
	snapshot.complete()
	return cleaned(snapshot), nil
}

// headings of the codes that a Reader's error can mean.
var headings = map[int]string{
	http.StatusNotFound:           "Not found",
	http.StatusBadRequest:         "This address makes no sense",
	http.StatusServiceUnavailable: "Not available yet",
}

func (s site) problem(w http.ResponseWriter, r *http.Request, err error) {
	page := problemPage{layout: layout{Title: "Problem"}, Message: clean(err.Error())}
	page.Heading = headings[codeOf(err)]
	if page.Heading == "" {
		page.Heading = "Something went wrong"
	}
	s.render(w, r, codeOf(err), "problem.html", page)
}

// render writes a page. It is rendered in memory first, so that an error is an error and not half a page, and carries a
// tag, so that a page that did not change is not sent again.
func (s site) render(w http.ResponseWriter, r *http.Request, code int, name string, view any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, view); err != nil {
		writeError(w, fmt.Errorf("render page: %w", err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if code == http.StatusOK {
		tagged(w, r, page.Bytes())
		return
	}
	w.WriteHeader(code)
	w.Write(page.Bytes())
}

// tagged writes body, or 304 if the browser has it.
func tagged(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(body)
}

// types of the assets: the system's table of types is not to be relied on.
var types = map[string]string{
	"style.css": "text/css; charset=utf-8",
	"live.js":   "text/javascript; charset=utf-8",
	"icon.svg":  "image/svg+xml",
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	body, err := assets.ReadFile("assets/" + name)
	if err != nil || types[name] == "" {
		writeProblem(w, http.StatusNotFound, "no such asset")
		return
	}
	w.Header().Set("Content-Type", types[name])
	tagged(w, r, body)
}
