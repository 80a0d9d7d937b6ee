package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxBody is the most that a request of the command line may hold: the rendered manifests of a plan.
const maxBody = 64 << 20

// revisionRequest is the body of a rollback or an approval.
type revisionRequest struct {
	Revision string `json:"revision"`
	Reason   string `json:"reason,omitempty"`
}

// NewControl serves the page's JSON API and the verbs. Whoever can call it can do what the daemon can: serve it on a unix
// socket that only the daemon's user may open, never on an address.
func NewControl(reader Reader, controller Controller) http.Handler {
	mux := http.NewServeMux()
	routeAPI(mux, reader)
	mux.HandleFunc("POST "+apiPlan, func(w http.ResponseWriter, r *http.Request) {
		var request PlanRequest
		if err := readJSON(w, r, &request); err != nil {
			writeError(w, err)
			return
		}
		result, err := controller.Plan(r.Context(), request)
		result.Changes, result.Actions = orEmpty(result.Changes), orEmpty(result.Actions)
		answer(w, result, err)
	})
	for path, act := range map[string]func(context.Context, string, string) (Revision, error){
		apiRollback: controller.Rollback, apiApprove: controller.Approve,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var request revisionRequest
			if err := readJSON(w, r, &request); err != nil {
				writeError(w, err)
				return
			}
			revision, err := act(r.Context(), request.Revision, request.Reason)
			answer(w, revision, err)
		})
	}
	mux.HandleFunc("POST "+apiSync, func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, controller.Sync(r.Context()))
	})
	mux.HandleFunc("POST "+apiResume, func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, controller.Resume(r.Context()))
	})
	mux.HandleFunc("POST "+apiShutdown, func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, controller.Shutdown(r.Context()))
	})
	routeSessions(mux, controller)
	// Should somebody forward the socket to a port after all, no page in a browser can use the verbs.
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// secured sets the headers of the page on answers that have no page around them.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		next.ServeHTTP(w, r)
	})
}

// readJSON reads the body strictly: a field that is misspelled is an error, not a default. The error never quotes the
// body, which may hold secrets.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the request has no body", ErrInvalid)
	case errors.As(err, &tooLarge):
		return fmt.Errorf("%w: the request is larger than %d MiB", ErrInvalid, maxBody>>20)
	case err != nil:
		return fmt.Errorf("%w: the request is not the JSON that is expected", ErrInvalid)
	}
	return nil
}
