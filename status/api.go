package status

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Paths of the JSON API. Client and server share them.
const (
	apiStatus    = "/api/v1/status"
	apiRevisions = "/api/v1/revisions"
	apiDiff      = "/api/v1/diff"
	apiEvents    = "/api/v1/events"
	apiPods      = "/api/v1/pods"
	apiWatch     = "/api/v1/watch"
	apiPlan      = "/api/v1/plan"
	apiSync      = "/api/v1/sync"
	apiRollback  = "/api/v1/rollback"
	apiApprove   = "/api/v1/approve"
	apiResume    = "/api/v1/resume"
	apiShutdown  = "/api/v1/shutdown"
	apiExec      = "/api/v1/exec"
	apiAttach    = "/api/v1/attach"
	apiDebug     = "/api/v1/debug"
)

// Limits of a page of revisions.
const (
	defaultRevisions = 50
	maxRevisions     = 500
)

// maxObjectEvents is how many events are shown of one object.
const maxObjectEvents = 50

// revisionList, eventList and diffList are objects rather than arrays so that they can grow.
type revisionList struct {
	Revisions []Revision `json:"revisions"`
}

type eventList struct {
	Events []Event `json:"events"`
}

type diffList struct {
	Objects []ObjectDiff `json:"objects"`
}

// routeAPI adds the read-only API, which page and control share.
func routeAPI(mux *http.ServeMux, reader Reader) {
	mux.HandleFunc("GET "+apiStatus, func(w http.ResponseWriter, r *http.Request) {
		snapshot, err := reader.Snapshot(r.Context())
		snapshot.complete()
		answer(w, snapshot, err)
	})
	mux.HandleFunc("GET "+apiRevisions, func(w http.ResponseWriter, r *http.Request) {
		revisions, err := readRevisions(r, reader)
		answer(w, revisionList{orEmpty(revisions)}, err)
	})
	mux.HandleFunc("GET "+apiRevisions+"/{rev}", func(w http.ResponseWriter, r *http.Request) {
		detail, err := reader.Revision(r.Context(), r.PathValue("rev"))
		answer(w, detail, err)
	})
	mux.HandleFunc("GET "+apiDiff, func(w http.ResponseWriter, r *http.Request) {
		diffs, err := reader.Diff(r.Context(), r.FormValue("from"), r.FormValue("to"))
		answer(w, diffList{orEmpty(diffs)}, err)
	})
	mux.HandleFunc("GET "+apiEvents, func(w http.ResponseWriter, r *http.Request) {
		object := Ref{Kind: r.FormValue("kind"), Namespace: r.FormValue("namespace"), Name: r.FormValue("name")}
		events, err := reader.Events(r.Context(), object, maxObjectEvents)
		answer(w, eventList{orEmpty(events)}, err)
	})
	mux.HandleFunc("GET "+apiPods+"/{namespace}/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		serveLog(w, r, reader)
	})
	mux.HandleFunc("GET "+apiWatch, func(w http.ResponseWriter, r *http.Request) {
		serveWatch(w, r, reader)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, "no such path or method: "+r.Method+" "+r.URL.Path)
	})
}

func readRevisions(r *http.Request, history History) ([]Revision, error) {
	query := r.URL.Query()
	before, err := number(query, "before", 0)
	if err != nil {
		return nil, err
	}
	limit, err := number(query, "limit", defaultRevisions)
	if err != nil {
		return nil, err
	}
	return history.Revisions(r.Context(), before, int(min(max(limit, 1), maxRevisions)))
}

// logRequest reads a request for a log. The parameters are those of Kubernetes' read-log call.
func logRequest(r *http.Request) (LogRequest, error) {
	query := r.URL.Query()
	request := LogRequest{
		Namespace: r.PathValue("namespace"), Pod: r.PathValue("name"),
		Container: query.Get("container"),
		Follow:    boolean(query, "follow"), Previous: boolean(query, "previous"), Timestamps: boolean(query, "timestamps"),
		Tail: -1,
	}
	if query.Get("tailLines") != "" {
		tail, err := number(query, "tailLines", 0)
		if err != nil {
			return request, err
		}
		request.Tail = int(min(tail, 1<<30))
	}
	if since := query.Get("sinceTime"); since != "" {
		when, err := time.Parse(time.RFC3339Nano, since)
		if err != nil {
			return request, fmt.Errorf("%w: sinceTime: want a time such as 2006-01-02T15:04:05Z", ErrInvalid)
		}
		request.Since = when
	}
	return request, nil
}

func number(query url.Values, name string, otherwise uint64) (uint64, error) {
	text := query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s: want a whole number", ErrInvalid, name)
	}
	return n, nil
}

func boolean(query url.Values, name string) bool {
	value, err := strconv.ParseBool(query.Get(name))
	return err == nil && value
}

// complete makes the snapshot presentable: empty lists are [] in JSON rather than null, and addresses of repositories
// lose the credentials they may carry.
func (s *Snapshot) complete() {
	s.Sources, s.Revisions = orEmpty(s.Sources), orEmpty(s.Revisions)
	s.Objects, s.Pods, s.Events = orEmpty(s.Objects), orEmpty(s.Pods), orEmpty(s.Events)
	sources := make([]Source, len(s.Sources))
	for i, source := range s.Sources {
		source.URL = withoutCredentials(source.URL)
		sources[i] = source
	}
	s.Sources = sources
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
