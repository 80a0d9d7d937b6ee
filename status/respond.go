package status

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// problem is the JSON of every answer that is an error.
type problem struct {
	Error string `json:"error"`
}

// codes pairs errors with their HTTP status codes, both ways: the server maps down, the client up.
var codes = []struct {
	err  error
	code int
}{
	{ErrNotFound, http.StatusNotFound},
	{ErrInvalid, http.StatusBadRequest},
	{ErrConflict, http.StatusConflict},
	{ErrUnavailable, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, http.StatusGatewayTimeout},
}

func codeOf(err error) int {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return http.StatusInternalServerError
}

// kindOf is the error that a code stands for; nil if it is none of ours.
func kindOf(code int) error {
	for _, c := range codes {
		if c.code == code {
			return c.err
		}
	}
	return nil
}

// writeJSON answers with value, indented, for people with curl read it too.
func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}

func writeError(w http.ResponseWriter, err error) { writeProblem(w, codeOf(err), err.Error()) }

func writeProblem(w http.ResponseWriter, code int, message string) {
	body, _ := json.MarshalIndent(problem{message}, "", "  ") // a string always marshals
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(body, '\n'))
}

// answer writes what a Reader or Controller returned.
func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, value)
}
