package manifests

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a manifest.
type Error struct {
	Position
	// Object may be the zero Ref where it is not known.
	Object Ref
	// Field is the path, as spec.template.spec.containers[0].image; empty where the whole object is meant.
	Field, Message string
}

// Error is "apps/web.yaml:12: spec.replicas: must not be negative"; without a line the object is named instead.
func (e *Error) Error() string {
	var parts []string
	if where := e.Position.String(); where != "" {
		parts = append(parts, where)
	}
	if e.Line == 0 && e.Object.Kind != "" {
		parts = append(parts, e.Object.String())
	}
	if e.Field != "" {
		parts = append(parts, e.Field)
	}
	return strings.Join(append(parts, e.Message), ": ")
}

// Errors are all the things that are wrong with a commit, in the order of their positions.
type Errors []*Error

// maxErrors bounds how many are printed.
const maxErrors = 50

func (e Errors) Error() string {
	lines := make([]string, 0, len(e))
	for i, one := range e {
		if i == maxErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(e)-maxErrors))
			break
		}
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// add takes in an error: an *Error, several, or any other, which then has no position.
func (e *Errors) add(err error) {
	var one *Error
	var many Errors
	switch {
	case err == nil:
	case errors.As(err, &many):
		*e = append(*e, many...)
	case errors.As(err, &one):
		*e = append(*e, one)
	default:
		*e = append(*e, &Error{Message: err.Error()})
	}
}

// result is nil if there is no error, and else all of them, sorted and each once.
func (e Errors) result() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(e, func(a, b *Error) bool { return *a == *b })
}
